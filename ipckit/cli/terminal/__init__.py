"""How commands show what they have to say: tables, colours, a screen that is drawn again."""
