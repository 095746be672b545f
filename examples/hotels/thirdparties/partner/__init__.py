"""A partner that sells the rooms of other hotels: offers over HTTP, as slow or as broken as a demonstration wants."""
