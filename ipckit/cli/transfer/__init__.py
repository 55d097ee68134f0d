"""How the shell takes part: addresses are opened, messages framed, locks and tokens held."""
