"""Where REST takes a parameter from, if not as the verb says, and files: `from meristem.rest import Body, Header`."""

from meristem.contracts.file_part import FilePart, IncomingFile, files_of
from meristem.contracts.rest_fields import Body, ClientAddress, Header, Query

__all__ = ["Body", "ClientAddress", "FilePart", "Header", "IncomingFile", "Query", "files_of"]
