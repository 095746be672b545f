"""The other companies of the example: a bank, a partner and a mail server; each an ordinary program."""
