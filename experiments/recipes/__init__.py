"""Recipes as data; `kdspeech.recipe_file.load_recipe` reads them."""
