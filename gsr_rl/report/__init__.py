"""`gsr-rl report`: what runs and evaluations have reached, as numbers, as Markdown and as one HTML page.

`figures` computes once what is shown; `text` and `pictures` say and draw it; `sections` puts that in order; `markdown`
and `html` are two ways of writing the same sections.
"""
