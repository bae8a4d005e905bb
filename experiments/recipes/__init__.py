"""Recipes as data; `kdspeech.config.load_recipe` reads them."""
