"""The only package that imports verl (0.9.1, V1 trainer): everything here plugs into it from outside."""
