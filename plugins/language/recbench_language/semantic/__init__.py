"""Items as short codes made of what they say, and a network that writes the codes of what comes next."""
