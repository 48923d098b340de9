"""The licences an export may state, by the names that dataset cards use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    label: str
    url: str


LICENCES: dict[str, Licence] = {
    "cc0-1.0": Licence("CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "cc-by-4.0": Licence("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
    "cc-by-sa-4.0": Licence("CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
    "cc-by-nc-4.0": Licence("CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/"),
    "cc-by-nc-sa-4.0": Licence("CC BY-NC-SA 4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/"),
    "odc-by": Licence("ODC-By 1.0", "https://opendatacommons.org/licenses/by/1-0/"),
    "odbl": Licence("ODbL 1.0", "https://opendatacommons.org/licenses/odbl/1-0/"),
    "apache-2.0": Licence("Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
    "mit": Licence("MIT", "https://opensource.org/license/mit"),
}
