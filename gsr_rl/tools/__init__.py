"""Tools that work on files rather than on a recipe, one module each with a `main(arguments)`."""
