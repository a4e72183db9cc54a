"""`gsr-rl report`: the results of runs and evaluations, as numbers, as Markdown and as one HTML page.

`results` computes once what is shown. `text`, `tables` and `plots` (drawn by `plotting`) present it. `sections` puts
them in order. `markdown` and `html` are two ways of writing the same sections.
"""
