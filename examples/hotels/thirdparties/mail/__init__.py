"""A mail server for development: it takes mail by SMTP, keeps it in a Maildir and shows it in a browser."""
