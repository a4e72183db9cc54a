"""Verifiable rewards for mathematics: extract a final answer, compare it with a gold answer, give 0 or 1.

The package stands alone: it imports neither gsr_rl nor verl. docs/rewards.md shows its use. From top to bottom:

- math_reward: the reward function that verl calls
- verifier: the verdict on a response, with the reason
- answers: whether two answers are the same mathematics
- extract: which text of a response is its final answer
- equality: the rules by which two forms are the same; questions: what they leave to sympy; real_intervals: unions of
  intervals of real numbers
- forms: what kind of answer a text is (number, list, interval, equation, ...); sides: equations, inequalities, cases;
  choices: marked letters; prose: words and number words; units and nouns: what may follow a number; form: the type
- limits: which answers are too heavy for sympy, or no plain mathematics
- arithmetic: values of expressions without sympy; grammar: the parser behind it; numerals: exact values of numerals
- latex: one spelling for each notation; characters: Unicode; spelling: rewriting that must find matching brackets;
  notation: tables of letters, functions and signs, labels
- pool: worker processes with limits; pool_worker: what runs in them; symbolic: what only sympy can decide
"""
