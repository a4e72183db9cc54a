"""rewards.answers: answers that look like the gold and are not, by kind. Neither side may stand for the other."""

import pytest

from rewards.answers import equivalent

DIFFERENT = {
    "hedged choices": [
        ("A", "(A) or (B)"), ("A", "A or B"), ("A", "(A), (B)"), ("A", "(A) and (C)"), ("A", "(A)/(B)"),
        ("A", "A through D"), ("A", "(A)-(D)"), ("A", "not (A)"), ("A", "(A)?"), ("A", "(A) is incorrect"),
        ("A", "(A) cannot be right"), ("A", "(A) maybe"), ("A", "(A) 5 (B) 7"), ("A", "A. 5; B. 7"),
        ("B", "(A) 5 or (B) 7"), ("A", "(A) if x>0"), ("A", "A, B"), ("C", "(C) seems wrong"),
        ("C", "C. but could be D"), ("C", "(C) to (E)"), ("A", "A. or maybe B"), ("E", "e"), ("A", "(A) or B"),
        ("A", "A) or C)"), ("C", "(C) is false"), ("D", "(B) 5"), ("5", "(A) 5 or (B) 7"), ("B", "A. B"),
    ],
    "words that are no unit": [
        ("5", r"5\text{ but maybe 6}"), ("5", "5 plus 1"), ("5", "5 minus 2"), ("5", "5 over 2"), ("5", "5 or so"),
        ("5", r"5\text{ until 7}"), ("5", r"5\text{ up to }7"), ("5", "5 thousand"), ("5", "5 dozen"),
        ("5", "5 cubed"), ("5", "5 factorial"), ("5", "5 tenths"), ("5", "5 hundredths"), ("5", "5 times"),
        ("5", "5 mod 7"), ("5", "5 approximately"), ("5", "5 below"), ("5", "5 more"), ("5", r"5\text{ and a half}"),
        ("5", "5 choose 2"), ("5", "5 base 6"), ("5", "5 halves"), ("5", "5 score"), ("5", "5 pairs of socks"),
        ("5", "5 hundred"), ("5", "minus 5"), ("5", "negative five"), ("5", r"5\text{ rem }2"), ("5", r"5\text{ R 2}"),
        ("5", "5 wrong"), ("5", "5 is wrong"), ("5", "5 xyz"), ("5", "5abc"), ("5", r"5\text{ with probability }1/2"),
        ("5", r"5\%"), ("5", "5 percent"), ("5", "5 per mille"), ("5", "5 cube"), ("5", "5 square"), ("5", "5 root 2"),
    ],
    "products of letters": [
        (r"\frac{4}{3}\pi", r"\frac{4}{3}\pi abc"), (r"4\pi", r"4\pi rst"), ("3", "3abc"), ("2", "2xy"), ("7", "7pqr"),
    ],
    "raised and lowered": [
        ("2n", "2ⁿ"), ("10112", "1011₂"), ("x12", "x₁₂"), ("210", "2¹⁰"), ("x2", "x²"),
    ],
    "money and other units": [
        (r"\$5", "€5"), (r"\$5", "5 cents"), ("£5", r"\$5"), (r"5 \text{ dollars}", "5 euros"),
        (r"\$3.50", "350 cents"), ("5 km", "5 m"), (r"5\text{ km/h}", r"5\text{ m/s}"), ("5 m^2", r"5\text{ m}^3"),
        ("18 apples", "18 oranges"), ("4 ft", "4 in"),
    ],
    "double factorials": [
        ("105", "7!"), ("5040", "7!!"), ("(2n-1)!!", "(2n)!!"), ("(2n-1)!!", "((2n-1)!)!"), ("120", "(5!)!"),
        ("(n!)!", "n!!"),
    ],
    "near misses": [
        ("12", "13th"), ("[0,1]", "]0,1["), ("(0,1)", "[0,1["), (r"3 \pmod 7", r"4 \pmod 7"),
        (r"3 \pmod 7", r"3 \pmod 8"), ("3", r"3 \pmod 7"), ("A3_{16}", "a4_{16}"), ("2x_2", "2x_3"),
        (r"x \ne 3", r"x \ne 4"), (r"x\ne 3", "3"), (r"x \ne 1,2", r"x \ne 1"),
        ("(2,3)", r"\begin{cases} x=3 \\ y=2\end{cases}"), ("(3,4)", "P(4,3)"), ("P(3,4)", "Q(3,4)"),
        ("11:21", "V_1:V_2 = 21:11"), ("2x", r"\frac{dy}{dx} = 2x+1"), ("2x", "x^2 = 2x"), ("113", "100+14=113"),
        (r"\frac{3}{4}", r"\frac{3}{4} \text{ or } 0.7"), ("3", "3 or 4"), ("Team 7", "Team 8"),
        ("Team 17", "Team 1 7"), ("Да", "Нет"), ("甲", "乙"), ("Renée", "Rene"), ("2^n", r"2^n \text{ for even } n"),
        ("5", r"5 \text{ for } x>0"), ("5", r"5 \text{ if } n=1"), ("2^n", r"2^n \text{ if } n \text{ is even}"),
        ("12:30 p.m.", "12:30 AM"), (r"\{1,2,3\}", "{1,2}"), ("(1,2,3)", "{1,2,3}"), ("42", "forty"),
        ("2500000", "2.5 thousand"), ("105", "1 0 5"), ("abc", "abd"), (r"\frac{1}{2}", "1/2x"),
        ("5", r"5\text{ half-lives}"), ("5", "5 - 6"), ("5", "5 to 7"), ("5", "about 5"), ("5", "at most 5"),
        ("5", "5+"), ("5", "5 cm or 6 cm"), ("5", "5 apples and 6 oranges"),
    ],
    "more words that are no unit": [
        ("5", "5 in a row"), ("5", r"5\text{ or }6"), ("5", r"5\text{ more}"), ("5", r"5\text{ is the minimum}"),
        ("5", r"5\text{ rounded}"), ("5", r"5\text{ if positive}"), ("5", r"5\text{ except at 0}"),
        ("5", r"5\text{ and 6}"), ("5", r"5\text{ less 1}"), ("5", r"5\text{ from 8}"), ("5", r"5\text{ squared cm}"),
        ("5", "5 groups of 3"), ("5", r"5\text{ sets of }2"), ("5", "5 cm per"), ("5", r"5\text{k}"), ("5", "5k"),
        ("5", "5K"), ("5", "5e"), ("5", "5i"), ("5", "5 g"), ("5", "5M"), ("5", r"5\text{M}"), ("5", r"5\text{K}"),
        ("5000", r"5\text{ m}"), ("5", "5 percentage points"), ("5", r"\frac{5}{\text{cm}}"),
        ("5", r"5\text{ ten-thousandths}"), ("5", r"5\text{ quarters}"), ("5", r"5\text{ twentieths}"),
        ("5", r"5\text{ twelfths}"), ("5", "5 bn"), ("5", "5 mil"), ("5", r"5\times\text{ten}"),
        ("5", r"5\text{ hundred cm}"), ("5", "5 dozen eggs"), ("5", r"5\text{ million dollars}"),
    ],
    "more hedged choices": [
        ("A", r"(A)\text{ or }(B)"), ("A", "A/B"), ("A", "A|B"), ("A", "A;B"), ("A", "A. B. C."),
        ("A", "(A), not (B)"), ("B", "(A), not (B)"), ("A", "either (A) or (B)"), ("A", "(A) rather than (B)"),
        ("A", "A or C, probably A"), ("A", "probably A"), ("A", "anything but A"), ("A", "(A) to (C)"),
        ("A", "(A)-(C)"), ("A", r"(A)\to(C)"), ("A", "(A) excluded"), ("A", "(A) is not correct"), ("A", "Not A"),
        ("A", "(A) isn't right"), ("A", "A. is wrong"), ("A", "(A) unless x=0"), ("A", "(A) 5 or 6 or (C) 7"),
        ("A", "(A) through D"), ("A", "(A) - (D)"), ("A", "(A) 1, (B) 2, (C) 3"), ("C", "(C) or none"),
        ("C", "(C) or 5"), ("C", "(C) 5 or 7, or D"), ("C", "(C) versus (D)"), ("A", "A) x or B) y"), ("A", "[A, B]"),
        ("A", r"\{A, B\}"), ("A", "(A)(B)(C)"), ("A", "A and/or B"), ("5", "A. 5 or 6"), ("5", "C. 5 million"),
        ("A", "(A) has to be wrong"), ("A", "(A) contradicts the premise"), ("A", "(A) fails"),
        ("A", "(A) was eliminated"), ("A", "(A)?? (B)??"),
    ],
    "more raised and lowered": [
        ("2^n", "2n"), ("x^2", "2x"), ("x_1", "x1"), ("10^3", "103"), ("a_{12}", "a12"), ("x", "x^{th}"),
    ],
    "more near misses": [
        ("(n)!!", "n!"), ("n!!", "(n!)!"), ("6!!!", "6!!"), ("0!!", "0"), ("0.5", "50"), ("0.05", "5"),
        (r"50\%", "50"), ("28", "28 percent"), ("28", "28 per cent"), ("(0,1)", "]0,1"), ("1,2", "(1,2)"),
        ("3", "3, 3"), (r"3 \text{ or } 4", "4"), ("3", r"3 \text{ or } 3.1"), (r"\frac12", r"0.5 \text{ or } 0.6"),
        ("x", r"x \text{ or } y"), ("-3", "3"), ("x-1", "x+1"), ("-1/2", "1/2"), ("12", r"\frac{12}{x}\text{ cm}"),
        ("2", r"2 \pmod 5"), ("(2,3)", "2, 3"), ("2,3", "P(2,3)"), (r"\{2,3\}", "P(2,3)"), ("35", "P(7,3)"),
        ("12:30 a.m.", "12:31 a.m."), ("7 days", "7 weeks"), ("7", "seventy"), ("7", "seventh"),
        ("100", "one hundred and one"), ("1000", "hundred"), ("0.5", "five"), ("2", "two thirds"),
        ("2", "half of 4 cm"), (r"\pi", r"\pi r"), (r"4\pi r^2", r"4\pi"), (r"100 \text{ cm}", "1 m"),
        (r"x^2 \text{ cm}", "x"), ("1", r"1!! \cdot 3"), (r"x\ne3", "x=3"), ("5", r"x \ne 5"),
        (r"\frac{1}{2}", r"{2 \over 1}"), ("6", r"{3 \choose 6}"), ("5", "{5, 6}"), (r"\sec^2 x", "sec(2x)"),
        (r"\tan x", r"\cot x"), (r"\sqrt{3}", "sqrt(2)"), ("5", r"\cancel{5}"), ("5", r"\phantom{5}"),
        ("5", r"\color{5}"), ("5", r"\text{not }5"), ("5", r"\overline{5}"), ("1'000", "1000000"), ("no", "yes"),
        ("Team 7", "Team 7 and Team 8"), ("Paris", "Paris or London"), ("2x", "d/dx = 2x^2"),
        ("55", r"\sum_{k=1}^{10} k = 56"), ("1", r"\lim f = 2"), ("5", r"-\$5"), (r"\$5", "-5"),
        (r"\$5", r"\$5 and \$6"), (r"\$5", r"\$5 - \$1"), (r"\$4", r"\$5 + \$1"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", DIFFERENT)
def test_no_reward(kind: str) -> None:
    for a, b in DIFFERENT[kind]:
        assert not equivalent(a, b), (a, b)
        assert not equivalent(b, a), (b, a)
