"""Nouns of what is counted, which may stand behind a number as its unit, and adjectives that may stand between."""

_SINGULAR = """
account acorn action actor adult afternoon age airplane album alligator angle animal answer ant apartment app
appetizer apple appliance apricot apron aquarium arc area arm arrangement array arrow article artist artwork
assignment athlete avocado award baby bag baguette baker bale ball balloon ballot banana band bandage bank bar barrel
base basket basketball bat batch bathroom battery beach bead beaker bean bear beaver bed bedroom bee beetle bell
bench berry bicycle bike bill bird biscuit blanket block blouse blueberry board boat bolt bone book boot bottle bounce
bouquet bowl box boy bracelet branch bread brick bridge brother brownie bucket bug building bulb bunch bundle bunny
burger burrito bus bushel business butterfly button cab cabbage cabin cabinet cage cake calculator camel camera camper
can candidate candle candy canoe cap capsule car caramel card carnation carpet carriage carrot cart carton case castle
cat caterpillar cell cent chain chair channel chapter character charge chart cheerleader cheesecake chef cherry
chicken chip chocolate choice chord chore circle citizen city clam class classmate classroom claw clerk client clip
clock cloud clown cluster coach coat coconut code coffee coin colony color coloring colour colouring column
combination comic committee company computer condition cone configuration consonant contact container contestant
cookie copy corner country couple coupon course cousin cow crab cracker crate crater crayon credit crew cricket crow
cube cucumber cup cupcake customer cycle cylinder daisy dart daughter deck decoration deer delegate delivery desk
dessert device diagonal diameter diamond diaper die digit dime dimension dinosaur dish division divisor doctor dog
doll dolphin domino donation donkey donut door dot doughnut dragon drawer drawing dream dress drink driver drop drum
duck duckling dvd eagle ear earring edge egg eggplant element elephant elf email employee emu enemy engine engineer
entry envelope episode equation eraser error evening event exam exercise eye face factor fairy family fan farm farmer
father feather female fence fern field figure figurine file film finger firework fish fit flag flavor flea flight flip
flock floor flower flute fly flyer folder follower forest fork form format fox fraction frame friend frog fruit
function game garden gecko gem gemstone gift giraffe girl glass glove gnome goal goat goblin goldfish goose grade
grain grandchild grandparent grape graph grid group guard guest guitar gumball gummy gun guppy haircut hall hamburger
hamster hand handshake hat head heart helmet hen hexagon hit hive hole home horn horse hospital hotdog hotel house
individual ingredient insect instance instruction integer intersection interval invitation iphone island item
jacket jar jellybean jersey jewel job joke journey judge jug kangaroo kernel key kid kind king kitten kiwi knife
knight knot koala ladder lady ladybug lake lamb lamp lap laptop lawn lawyer leaf leap leg lego lemon length leopard
lesson letter level life light lily line lion list lizard load loaf location lock log lollipop loop lot lunch machine
magazine magnet male man mango map marble march mark marker marshmallow mask match matchstick mathematician matrix
meal meatball medal meeting melon member message milkshake mineral minnow mint mirror mistake model monitor monkey
monomial monster moose morning motorcycle mountain mouse move movie muffin mug mushroom nail name napkin necklace
neighbor neighborhood nephew nest newspaper nickel niece night node note notebook novel number nurse nut object
octagon octopus office officer omelet onion option orange orchard orchid order organism outcome outfit owl oyster pack
package packet paddle page pail painter painting pallet pan pancake panda panel paper paperclip parabola paragraph
parallelogram parent parrot part particle partition partner party passenger pastry patch path patient pattern pea
peach peacock peanut pear pebble pen pencil penguin penny pentagon pepper perch period permutation person pet petal
phone photo photograph phrase piano pickle picture pie piece pig pigeon piglet pile pill pillow pin pineapple pipe
pizza place plane planet plank plant plate platter player plum pocket poem point poker pole polygon polynomial
pond pony pool popsicle portion portrait position possibility post poster pot potato present pretzel prime prize
problem product professor program project property pump pumpkin pup pupil puppy purse pushup puzzle quadrilateral
queen question quilt rabbit raccoon radish rat ray rearrangement recipe record rectangle region relative report
representation representative resident rest restaurant result rhombus ribbon riddle ride ring river robin robot rock
roll room roommate root rope rose rotation round route row ruler run rung runner sack sail salad sale salmon sandwich
sausage scarf school scientist scoop screen screw seagull seashell season seat seating section sector seed segment
selection seller semester senior sentence sequence server serving session set shape shark sheep sheet shelf shell ship
shirt shoe shop shot shovel shower shrimp sibling side sign signature singer sink sister site skirt sleeve slice slide
slip slot snack snail snake sneaker snowball snowflake snowman sock soda sofa soldier solid solution son song soup
space spear spectator sphere spider spoke spool spoon sport spot square squirrel stack stage stair stamp star state
statement station statue steak stem step stick sticker stitch stone stool store story strand straw strawberry street
string stripe stroke stroller student subject subscriber subsequence subset suit suitcase sunflower surfer suspect
sweater sweet swimmer switch symbol table tablet taco tadpole tail tangent tank tap tape target task tattoo teacher
team teenager television tent term test text textbook thing throw ticket tie tiger tile tiling tin tire tissue toad
toast toilet token tomato tooth toothbrush toothpick topping touchdown tourist towel tower town toy track tractor
train transistor trapezoid traveler tray treat tree trial triangle tribe trip triple triplet trout truck trumpet tub
tube tulip tunnel tuple turkey turn turtle twig type umbrella unicorn vacation value vampire van variable vase vector
vegetable vehicle vertex video village vine visit visitor voice volleyball volume volunteer vote voter vowel waffle
waiter walk wall walnut washer watch watermelon way website wedding weed weekday weight whale wheel whisker whole
widget wife window wing winner wolf woman word worker world worm wreath wrestler zebra zero zombie zone
"""
_PLURALS = """
people:person children:child grandchildren:grandchild men:man women:woman mice:mouse geese:goose teeth:tooth 
knives:knife wives:wife loaves:loaf leaves:leaf shelves:shelf wolves:wolf elves:elf scarves:scarf fish:fish sheep:sheep
deer:deer
lives:life species:species quizzes:quiz dominoes:domino dice:die
vertices:vertex matrices:matrix indices:index axes:axis snowmen:snowman octopuses:octopus
bunnies:bunny solutions:solution photos:photo pianos:piano moose:moose shrimp:shrimp salmon:salmon trout:trout
"""
_ADJECTIVES = """
distinct different possible positive whole right ordered unordered real integer rational prime total unique identical
red blue green yellow white black orange purple pink brown small large big long short new old valid such lattice
equilateral isosceles congruent ice cream full adult female male
"""
ADJECTIVES = frozenset(_ADJECTIVES.split())


def _plural(singular: str) -> str:
    if singular.endswith("y") and singular[-2:-1] not in "aeiou":
        return f"{singular[:-1]}ies"
    if singular.endswith(("s", "x", "ch", "sh", "z")) or singular in ("tomato", "potato", "mango", "zero"):
        return f"{singular}es"
    return f"{singular}s"


_PLURAL = {_plural(word): word for word in _SINGULAR.split()}
_PLURAL |= {plural: single for plural, _, single in (row.partition(":") for row in _PLURALS.split())}
_ONE = frozenset(_PLURAL.values())


def noun(word: str) -> str:
    """Return the singular of a counted noun, given its plural in lower case, or "" if the noun is unknown."""
    return _PLURAL.get(word, "")


def is_singular(word: str) -> bool:
    """Whether a word is a counted noun in the singular, which stands behind a one or an ordinal only."""
    return word in _ONE
