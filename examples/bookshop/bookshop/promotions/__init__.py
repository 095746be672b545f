"""Buy two, get one free: once for each customer, and a mail to those who don't know yet."""
