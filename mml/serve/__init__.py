"""A trained model behind HTTP: `mml serve shop`, with a page to try it on."""
