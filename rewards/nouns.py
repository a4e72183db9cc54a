"""Nouns of what is counted, which may stand behind a number as its unit, and adjectives that may stand between."""

_SINGULAR = """
account acorn action actor adult age airplane album alligator angle animal answer ant apartment apple apricot arc area
arrangement arrow article artist athlete baby bag baguette baker ball balloon ballot banana band bank barrel base basket
basketball bat batch battery bead bean bear bed bee beetle bell berry bike bicycle bill bird biscuit blanket block
blouse blueberry board boat bolt bone book boot bottle bouquet bowl box boy bracelet branch bread brick bridge
brother brownie bucket bug building bulb bunny burger bus business bushel butterfly button cab cabbage cabin cake camel
camera candidate candle candy car caramel card carnation carpet carrot cart carton case cat caterpillar cell cent chain
chair chapter cherry chicken chip chocolate choice chord circle citizen city clam class classmate classroom clock coat
coconut code coffee coin colony color colour column combination comic committee computer cone container cookie copy
corner country couple course cousin cow cracker crate crayon crew cricket crow cube cucumber cup cupcake customer cycle
cylinder daisy dart daughter deck deer desk diagonal diamond diameter die digit dime dimension dinosaur dish divisor
doctor dog doll dolphin donkey donut door dot doughnut dragon drawer drawing dress drink driver drop drum duck duckling
eagle ear earring edge egg element elephant elf email employee engineer entry envelope episode equation eraser error
event exam exercise eye face factor family fan farmer father feather fence fern field figure file film finger fish fit
flag flavor flight flock floor flower fly follower forest fork format fox fraction frame friend frog fruit function game
garden giraffe girl glass glove goal goat goblin goldfish goose grade grandchild grape grid group guest guitar gumball
gummy guppy hamburger hamster hand handshake hat head hen hole home horse hotdog hotel house individual insect
integer intersection interval invitation island item jacket jar jellybean jersey jewel job joke journey judge jug key
kid king kitten kiwi knife knight lake lamb lamp lap lawn lawyer leaf leap leg lego lemon length lesson letter level
light lily line lion list lizard loaf location lock log lollipop loop lot lunch machine magazine magnet man mango map
marble march mark marker marshmallow match matchstick matrix meal medal meeting melon member message mint mistake model
monkey monomial monster moose mountain mouse move movie mug mushroom muffin nail name napkin necklace neighbor nest
newspaper nickel night node note notebook novel number nurse nut object octopus office onion option orange orchid
order organism outcome outfit owl oyster pack package packet paddle page pail painting pan pancake panda panel paper
paperclip parabola parallelogram parent parrot part particle partition party passenger path patient pattern pea peach
peacock peanut pear pebble pen pencil penguin penny pentagon pepper perch period permutation person pet petal
phone photo photograph piano picture pie piece pig pigeon pill pillow pin pizza place plane planet plank plant plate
platter player plum poem point poker pole polygon polynomial pond pony pool popsicle position possibility post poster
pot potato prime prize problem product program project puppy purse puzzle queen question rabbit raccoon radish rat ray
recipe record rectangle region relative report representation resident rest restaurant result rhombus ribbon ride ring
river roll room root rope rose round route row ruler run runner sack salad sale salmon sandwich sausage scarf
school scoop seashell seat section seed segment seller senior sentence sequence server serving session set shark
sheep sheet shelf shell ship shirt shoe shop shot shovel shrimp sibling side sign singer sister skirt slice slide slip
snack snail snake sneaker snowball snowflake snowman sock soda sofa soldier solution son song soup space spectator
sphere spider spoon spot square squirrel stack stair stamp star state station steak stem step stick sticker stitch stone
stool store story straw strawberry street string stripe stroller student subject subset suit suitcase sunflower
suspect sweater sweet swimmer symbol table tablet tadpole tail tank tape task teacher team tent term test
text textbook thing ticket tie tiger tile tire toad toast token tomato tooth toothpick topping tourist tower town toy
track tractor train trapezoid traveler tray tree trial triangle trip triplet trout truck tube tulip tunnel turkey turn
turtle umbrella unicorn value van variable vase vegetable vehicle vertex video village visit visitor voice volleyball
volume volunteer vote voter waffle walk wall watch watermelon way wedding weed weight whale wheel whole widget wife
window wing winner wolf woman word worker world worm wreath wrestler zebra zero zone triple tuple subsequence
coloring colouring tiling configuration assignment rearrangement selection
"""
_PLURALS = """
people:person children:child grandchildren:grandchild men:man women:woman mice:mouse geese:goose teeth:tooth 
knives:knife wives:wife loaves:loaf leaves:leaf shelves:shelf wolves:wolf elves:elf scarves:scarf fish:fish sheep:sheep
deer:deer dice:die vertices:vertex matrices:matrix indices:index axes:axis snowmen:snowman octopuses:octopus
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
