"""Each report's page: a function from the report and what was chosen."""

from __future__ import annotations

from .agreement_figures import agreement_page
from .annotator_figures import annotators_page
from .bias_figures import bias_page
from .ranking_figures import rankings_page

PAGES = {
    "agreement": agreement_page,
    "rankings": rankings_page,
    "bias": bias_page,
    "annotators": annotators_page,
}
