"""rewards.answers: spellings that people use, by kind. Each pair is one answer, and either side may be the gold."""
# ruff: noqa: RUF001

import pytest

from rewards.answers import equivalent, parseable

EQUAL = {
    "ordinals": [
        ("12", "12th"), ("3", "3^{rd}"), ("2", "2nd"), ("5", r"5\text{th term}"), ("1", r"1^\text{st}"),
        ("12th", r"12^{\text{th}}"),
    ],
    "double factorials": [
        ("105", "7!!"), ("15", "5!!"), ("8", "4!!"), ("(2n-1)!!", r"\frac{(2n)!}{2^n n!}"), ("(2n)!!", "2^n n!"),
        (r"2^n \cdot n!", "(2n)!!"), ("720", "6!"),
    ],
    "choices with content": [
        ("C", r"(C) \frac{1}{2}"), ("C", r"\text{C) Paris}"), ("C", "C: Paris"), ("D", "(D) None of the above"),
        ("E", r"\textbf{(E)}\ 12"), ("(C)", "c"), ("B", "Option B"), ("B", "b)"), ("B", "(b) 5"),
        ("A", "A. Not enough information"), (r"C. $(0; \sqrt{3})$", "C"), ("B. 5", "5"), ("D", "D. $x > 3$"),
        (r"\text{(D) }7", "7"),
    ],
    "compound units": [
        ("18", "18 km/h"), (r"18 \text{ km/h}", "18 kilometers per hour"), ("9.8", "9.8 m/s^2"),
        ("9.8", r"9.8\,\mathrm{m\,s^{-2}}"), ("9.8", r"9.8 \frac{\text{m}}{\text{s}^2}"), ("60", "60 mph"),
        ("60 mph", "60 miles per hour"), ("40", r"40\ \mathrm{N\cdot m}"), ("5", r"5\text{ kg}\cdot\text{m}^2"),
        ("12", "12 square meters"), ("12", r"12\text{ m}^2"), ("12", "12 cm³"), ("5", "5 sq. ft."), ("7", "7 ft."),
        ("3.5", r"3.5\text{ L}"), ("30", "30 students"), ("3x", r"3x\text{ units}"),
        (r"2\pi", r"2\pi \text{ radians}"), (r"2\pi", r"2\pi rad"), (r"\frac{a+b}{2}", r"\frac{a+b}{2}\text{ cm}"),
    ],
    "degrees": [
        (r"45^\circ", "45 degrees"), (r"45^\circ", "45º"), ("45", "45^{o}"), ("45", r"45^\mathrm{o}"),
        ("45", "45 deg"), ("25", "25°C"),
    ],
    "dashes and Unicode signs": [
        ("-3", "—3"), ("-3", "–3"), ("-3", "‐3"), ("a-b", "a‑b"), ("1000000", "1 000 000"), (r"\sqrt{2}", "√2"),
        (r"\sqrt{x+1}", "√(x+1)"), (r"\sqrt[3]{5}", "∛5"), ("2", "∜16"), (r"\lceil x \rceil", "⌈x⌉"),
        (r"\mathbb{Z}", "ℤ"), (r"x \ne 2", "x≠2"), (r"\alpha+\beta", "α+β"), (r"\varphi", "φ"), (r"\phi", "ϕ"),
        (r"a \cdot b", "a∙b"), (r"\frac{1}{2}", "¹⁄₂"), (r"\frac{3}{8}", "⅜"), (r"2\frac{1}{2}", "2½"),
        (r"\emptyset", "∅"), ("x_{12}", "x₁₂"), (r"\log_2 8", "log₂8"), ("x^{n-1}", "xⁿ⁻¹"), ("a_n", "aₙ"),
        ("x^{10}", "x¹⁰"), ("e^{-x}", "e⁻ˣ"), ("3x^2", "3x²"),
    ],
    "money": [
        (r"\$3.50", "3.5"), (r"\$3.50", "$3.50"), ("5", "5€"), ("5", "€5"), (r"\$1,000", "1000 dollars"),
        ("£5", "5 pounds"), ("50 cents", "50"), (r"\$5", "5 USD"), (r"\$2.5\text{ million}", "2500000"),
        ("50¢", "50 cents"),
    ],
    "qualifiers": [
        ("2^n", r"2^n \text{ for all } n \in \mathbb{N}"), ("f(x)=cx", r"f(x) = cx, \text{ where } c \in \mathbb{R}"),
        ("f(x)=cx", r"f(x) = cx \text{ for some constant } c"),
        (r"\frac{n}{2}", r"\frac{n}{2} \text{ where } n \text{ is even}"),
        (r"x = 2\pi k", r"x = 2\pi k, k \in \mathbb{Z}"),
    ],
    "infix and other TeX": [
        (r"\frac{x+1}{4}", r"{x+1 \over 4}"), (r"\binom{n}{k}", r"{n \choose k}"), ("35", r"{7 \choose 3}"),
        (r"\frac{1}{2}", r"1 \over 2"), (r"\frac{a}{b+\frac{c}{d}}", r"{a \over {b + {c \over d}}}"),
        ("10", r"\tbinom{5}{2}"), (r"\frac{3}{4}", r"\nicefrac{3}{4}"), ("5", r"\qty{5}{km}"), ("45", r"\ang{45}"),
        ("12500", r"\num{12500}"),
    ],
    "exponents in brackets": [
        (r"\sqrt{x}", "x^(1/2)"), ("2^{n+1}", "2^(n+1)"), ("x^{2/3}", r"x^\frac23"), ("x^{2(n+1)}", "x^(2(n+1))"),
    ],
    "outward brackets": [
        ("(0,1)", r"\left]0,1\right["), ("[0,1)", "[0,1["), (r"(-\infty,0)\cup(1,2]", r"]-\infty,0[ \cup ]1,2]"),
        ("(0,1)", r"x \in ]0;1["), ("(0,1]", "]0;1]"),
    ],
    "escaped twice": [
        (r"\pi", r"\\pi"), (r"\frac{\sqrt{3}}{2}", r"\\frac{\\sqrt{3}}{2}"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\ 2\end{pmatrix}"),
    ],
    "per cent in words": [
        (r"28\%", "28 per cent"), (r"28\%", "28 percent"), (r"28\%", "28％"), (r"28\%", r"28\text{%}"),
    ],
    "periods with dots": [
        (r"\frac{123}{999}", r"0.\dot{1}2\dot{3}"), (r"\frac{1}{6}", r"0.1\dot{6}"),
        (r"\frac{2}{11}", r"0.\overline{18}"), (r"\frac{2}{11}", "0.(18)"),
    ],
    "names of functions": [
        (r"\tan x", r"\operatorname{tg} x"), (r"\tan x", "tg x"), (r"\arctan 2", "arctg 2"),
        (r"\operatorname{arccot} 2", r"\operatorname{arcctg} 2"), (r"\cot x", r"\ctg x"),
        (r"\sinh x", r"\operatorname{sh} x"), (r"\csc x", r"\operatorname{cosec} x"), (r"\arcsin x", r"\sin^{-1} x"),
        (r"\arccos\frac{1}{3}", r"\cos^{-1}(1/3)"), (r"\sec x", "sec(x)"), (r"\sec x \tan x", "sec(x)tan(x)"),
        (r"2\cos x", "2cos(x)"), ("|x|", "abs(x)"), ("3", "cbrt(27)"), (r"\ln 2", "ln(2)"), (r"\sin^2 x", "sin^2(x)"),
        (r"\sqrt{2}+1", "sqrt(2)+1"),
    ],
    "styles": [
        ("5", r"\bm{5}"), ("5", r"\textcolor{blue}{5}"), ("5", r"{\color{red}5}"), ("5", r"\underline{5}"),
        ("5", r"{\bf 5}"), ("5", r"\mathbf{5}"), ("x+1", r"\boldsymbol{x+1}"),
        (r"\frac{3}{4}", r"\textbf{\frac{3}{4}}"), ("5", r"\colorbox{yellow}{5}"), ("5", r"\displaystyle 5"),
        ("5", r"\large 5"), ("5", r"\fbox{5}"),
    ],
    "one value twice": [
        ("0.5", r"\frac{1}{2} \text{ or } 50\%"), (r"\frac12", r"\frac{1}{2}=0.5"),
        (r"\sqrt{8}", r"2\sqrt{2} \text{ or } \sqrt{8}"),
    ],
    "all numbers but some": [
        (r"(-\infty,1)\cup(1,2)\cup(2,\infty)", r"x \ne 1, 2"),
        (r"(-\infty,1)\cup(1,2)\cup(2,\infty)", r"x \ne 1 \text{ and } x \ne 2"),
        (r"(-\infty,-1)\cup(-1,1)\cup(1,\infty)", r"x \ne \pm 1"), (r"x \ne 3", r"\mathbb{R}\setminus\{3\}"),
        (r"\mathbb{R} \setminus \{0\}", r"x \neq 0"), (r"\mathbb{R}\setminus\{1,2\}", r"x \ne 1, x \ne 2"),
        (r"x \ne 3", "all real numbers except 3"), (r"x \ne 3", r"3 \ne x"),
    ],
    "congruences": [
        (r"3 \pmod 7", r"x \equiv 3 \pmod{7}"), (r"x \equiv 3 \pmod 7", "3 mod 7"),
        (r"x \equiv 3 \pmod{7}", r"x \equiv -4 \pmod 7"), (r"x \equiv 1,4 \pmod 5", r"x \equiv 4, 1 \pmod{5}"),
        (r"x \equiv 3 \pmod 7", "x ≡ 3 (mod 7)"), (r"x \equiv 3 \bmod 7", r"3 \pmod{7}"),
    ],
    "bases": [
        ("FF_{16}", "ff_{16}"), ("2B_{12}", "2b_{12}"), ("1011_2", "1011_{2}"),
    ],
    "systems and cases": [
        ("(2,3)", r"\begin{cases} x = 2 \\ y = 3 \end{cases}"),
        ("(2,3)", r"\begin{aligned} x &= 2 \\ y &= 3 \end{aligned}"),
        ("x=2,y=3", r"\left\{\begin{array}{l} x=2 \\ y=3 \end{array}\right."),
        (r"\begin{cases} 1 & x>0 \\ 0 & \text{otherwise}\end{cases}",
         r"\begin{cases} 0 & \text{otherwise} \\ 1 & \text{if } x > 0\end{cases}"),
        (r"f(x)=\begin{cases} 1 & x>0 \\ 0 & x \le 0\end{cases}",
         r"\begin{cases} 1, & \text{if } 0<x \\ 0, & \text{if } x \leq 0\end{cases}"),
    ],
    "labels of derivatives and sums": [
        ("2x", r"\frac{d}{dx}(x^2) = 2x"), ("2x", "dy/dx = 2x"), ("2x", "y' = 2x"),
        ("2x", r"\frac{\partial f}{\partial x} = 2x"), ("6x", "f''(x)=6x"), ("6x", r"\frac{d^2y}{dx^2}=6x"),
        ("55", r"\sum_{k=1}^{10} k = 55"), ("1", r"\lim_{x\to 0}\frac{\sin x}{x} = 1"),
        (r"\frac{x^2}{2}+C", r"\int x\,dx = \frac{x^2}{2}+C"),
    ],
    "points": [
        ("(3,4)", "A(3,4)"), ("(3,4)", "P = (3,4)"), ("(1,2),(3,4)", "A(1,2), B(3,4)"), ("(1,2,3)", "Q(1, 2, 3)"),
    ],
    "separators of other countries": [
        ("1234567", "1’234’567"), ("1234.5", "1'234.5"), ("1, 2", "1，2"), ("(1,2)", "（1，2）"), ("1,2", "1;2"),
        ("1, 2", "1 或 2"),
    ],
    "words of other scripts": [
        ("甲", "甲"), (r"\text{甲、乙}", "乙、甲"), ("Да", "да"), ("Renée", "RENÉE"), ("Zoë", "zoë"),
    ],
    "times": [
        ("12:30 p.m.", "12:30pm"), ("12:30 p.m.", "12:30 P.M."), ("8:05 a.m.", "8:05 AM"),
        (r"4:40 \text{ p.m.}", "4:40"),
    ],
    "determinants": [
        ("-2", r"\det\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
        ("-2", r"\left|\begin{matrix}1&2\\3&4\end{matrix}\right|"),
    ],
    "products of letters": [
        ("abc", "bca"), ("xyz", r"x \cdot y \cdot z"), ("3abc", "3cab"), ("abc", "a b c"), ("-xyz", "-zyx"),
    ],
    "number words": [
        ("2500000", "2.5 million"), ("3000", "3 thousand"), ("24", "2 dozen"), (r"\frac{3}{10}", "3 tenths"),
        ("25", "5 squared"), ("-5", r"\text{negative }5"), ("-5", "minus 5"), ("42", "forty-two"),
        ("21", "twenty one"), ("200", "two hundred"), ("0.5", "one half"), ("0.5", "half"), ("0.75", "three quarters"),
        ("1,200,000", r"1.2\text{ million}"),
    ],
    "plain braces": [
        (r"\{1,2,3\}", "{1,2,3}"), (r"S=\{1,2\}", "S = {2, 1}"),
    ],
    "HTML entities": [
        (r"x \ge 3", "x &ge; 3"), (r"x < 3 \text{ and } y > 2", "x &lt; 3 and y &gt; 2"),
        (r"2\times 3", "2 &times; 3"),
    ],
    "words with digits": [
        ("October 30", "october 30"), ("Room 101", "ROOM 101"),
    ],
    "factorial and equals sign": [
        ("120", "5! = 120"), ("120", "n = 5! = 120"), ("6", "3!=6"), (r"x\ne 3", "x!=3"),
    ],
    "ratios": [
        ("11:21", "a:b = 11:21"), ("2:3", "AB:BC=2:3"), ("1:2:3", "x:y:z = 1:2:3"),
    ],
    "counted nouns": [
        ("7 days", "seven days"), ("six", "6 cm"), ("18", "18 apples"), ("18", r"18\text{ red apples}"),
        ("5", "5 ordered pairs"), ("14", r"14\text{ right triangles}"), ("5", "5 ways"), ("1", "1 way"),
    ],
    "golds written as lists": [
        ("['70']", "70"), ('["x+1"]', "x+1"), ("['1, 2']", "2,1"),
    ],
    "indices": [
        ("x_1+x_2", "x_{1}+x_{2}"),
    ],
    "more money": [
        (r"\$\frac{2}{3} \approx \$0.67", r"\frac{2}{3}"),
        (r"\$4", r"\$5 - \$1"), ("-5", r"-\$5"), (r"\$1,234.50", "1234.5"), (r"\$\frac{5}{2}", "2.5"),
        (r"\$5", r"5 \$"), ("5", "5 dollars and"),
    ],
    "more units": [
        (r"20\text{ square feet}", "20 ft^2"), (r"5\text{ m/s}", "5 meters per second"),
        ("5 m/s", r"5\ \mathrm{m}\cdot\mathrm{s}^{-1}"), ("3", r"3\text{ people}"), ("90", r"90\text{ minutes}"),
        ("36", "36 in^2"), ("36", r"36\text{ in}^3"), ("0", r"\text{zero}"), ("4", r"\text{four}"),
        ("(2,-3)", r"(2,-3)\text{ units}"), ("12", r"12\,\text{cm}"), ("12", r"12~\mathrm{cm}"), ("12", "12 cm."),
        ("12", r"12\;\text{square units}"), ("12", r"12\text{ sq cm}"), (r"\frac{7}{2}", r"3.5\text{ hours}"),
        ("6.5", r"6 \frac{1}{2} \text{ hours}"), ("2:30", r"2:30\text{ p.m.}"), ("100", r"100^\circ\text{C}"),
        ("100", r"100\,^{\circ}\mathrm{F}"), ("1.5", r"1.5\times 10^0\text{ m}"), (r"6\times 10^3", r"6000\text{ J}"),
        ("5", r"\text{5 apples}"), ("5", r"\text{5 cm}"), ("5", r"\mathrm{5~cm}"), ("5", r"\text{$5$ cm}"),
        ("x=5", "5 cm"), ("5", r"x = 5\text{ cm}"), ("A = 12", r"A = 12 \text{ cm}^2"),
        ("6, 8", r"6\text{ cm and }8\text{ cm}"), ("6, 8", r"6\text{ and }8 \text{ cm}"), ("8", "eight apples"),
    ],
    "more choices": [
        ("B", "The answer is B"), ("B", "answer: B"), ("B", r"\boxed{B}"), ("B", "**B**"), ("B", "B."),
        ("(B)", "B) 17"), ("B", r"\mathbf{(B)}\ 17"), ("B", r"\textbf{(B) } 17"), (r"\textbf{(B) } 17", "17"),
        (r"\textbf{(B)}\ \frac{1}{2}", "0.5"), ("B", "B: 17"), ("B", "B) $x^2$"), ("B", "(B) -5"),
        ("B", "(B) a circle"), ("D", "D. All of the above"), ("(3, 4)", "C. (3,4)"),
    ],
    "more Unicode": [
        ("x^{2}y", "x²y"), ("x_1^2", "x₁²"), ("(a+b)^2", "(a+b)²"), ("m^{-1}", "m⁻¹"), ("H_2O", "H₂O"),
        (r"\sqrt{5}", "√5"), (r"3\sqrt{5}", "3√5"), (r"\frac{\sqrt{5}}{2}", "√5/2"),
        (r"\frac{1+\sqrt{5}}{2}", "(1+√5)/2"), (r"\{1,2\}", "｛1,2｝"), ("5", "５"), (r"x \le 4", "x≦4"),
        (r"A \cup B", "A∪B"), (r"90^\circ", "90˚"), (r"\infty", "∞"), (r"\Delta", "Δ"), (r"a \ne b", "a≠b"),
        (r"\pm 3", "±3"), (r"3 \times 10^{5}", "3×10⁵"), ("10^{-3}", "10⁻³"), (r"\overline{AB}", r"\overline{AB}"),
        ("2^{x}", "2ˣ"), (r"\frac{2\pi}{3}", "2π/3"), (r"\theta", "θ"), (r"\lambda", "λ"), (r"\mu", "μ"),
        ("1:2", "1 : 2"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", EQUAL)
def test_one_answer_in_two_spellings(kind: str) -> None:
    for a, b in EQUAL[kind]:
        assert equivalent(a, b), (a, b)
        assert equivalent(b, a), (b, a)


@pytest.mark.parametrize(
    "gold",
    [
        "甲", "Да", "Renée", r"18 \mathrm{~km} / \mathrm{h}", r"C. $(0; \sqrt{3})$", r"\dbinom{7}{3}", r"B. $S=\{1\}$",
        r"x \equiv 3 \pmod{7}", r"16\text{ daps}", r"\begin{cases} 1 & x>0 \\ 0 & \text{otherwise} \end{cases}",
        "['70']",
        r"\$3.50", "Team 7", "7!!", "]0, 1]",
    ],
)  # fmt: skip
def test_golds_are_readable(gold: str) -> None:
    assert parseable(gold)
