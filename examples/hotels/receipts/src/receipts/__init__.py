"""PDF receipts from a template: exact sums, a tax breakdown, names in any script, printed or spelled."""

from .document import render
from .receipt import Line, Party, Receipt, ReceiptError, TaxShare, Totals
from .template import DEFAULT, Labels, Template, TemplateError

__all__ = [
    "DEFAULT",
    "Labels",
    "Line",
    "Party",
    "Receipt",
    "ReceiptError",
    "TaxShare",
    "Template",
    "TemplateError",
    "Totals",
    "render",
]
