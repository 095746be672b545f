"""Services: how they are written, constructed, called and made to answer once."""
