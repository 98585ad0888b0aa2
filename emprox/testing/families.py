"""The contract of families of architectures that are no search spaces. Needs pytest (extra ``test``)."""

from __future__ import annotations

from typing import Any

import pytest

from emprox.encodings import get_encoding
from emprox.errors import InvalidArchitectureError, InvalidOptionError
from emprox.spaces import Architecture, ArchitectureFamily, get_family, get_space

__all__ = ["FamilyContract"]


class FamilyContract:
    """What holds for every family; inherit it in a test and implement both methods."""

    def make_family(self) -> ArchitectureFamily:
        """Return the family under test."""
        raise NotImplementedError(f"{type(self).__name__} has to return its family from make_family()")

    def make_architectures(self) -> list[Architecture]:
        """Return some different architectures of it."""
        raise NotImplementedError(f"{type(self).__name__} has to return architectures from make_architectures()")

    def test_text_is_read_back(self) -> None:
        family = self.make_family()
        for architecture in self.make_architectures():
            text = str(architecture)
            assert family.parse(text) == family.parse(f"{family.name}:{text}") == family.restore(text) == architecture
            assert hash(family.restore(text)) == hash(architecture)
            assert family.label(architecture)

    def test_its_setting_makes_it_again(self) -> None:
        family = self.make_family()
        again = get_family(family.setting)
        assert type(again) is type(family)
        assert (again.name, again.setting) == (family.name, family.setting)

    @pytest.mark.parametrize("strange", [None, 3.5, "", "nonsense", "(", b"x", [], [99] * 50, {"a": 1}, [[1], [2]]])
    def test_strange_descriptions_are_errors(self, strange: Any) -> None:
        with pytest.raises(InvalidArchitectureError, match=r"expected|got"):
            self.make_family().parse(strange)

    def test_other_families_are_errors(self) -> None:
        family, foreign = self.make_family(), Architecture("elsewhere", (0,))
        for method in (family.format, family.to_graph, family.canonical_hash):
            with pytest.raises(InvalidArchitectureError, match="elsewhere"):
                method(foreign)

    def test_different_networks_have_different_hashes(self) -> None:
        family, architectures = self.make_family(), self.make_architectures()
        assert len({family.canonical_hash(a) for a in architectures}) == len(set(architectures)) == len(architectures)

    def test_costs_are_those_of_the_network(self) -> None:
        family, architectures = self.make_family(), self.make_architectures()
        expected = [(family.network(a).parameters, family.network(a).macs) for a in architectures]
        assert [tuple(row) for row in family.costs(architectures).tolist()] == expected
        assert [(family.count_parameters(a), family.count_macs(a)) for a in architectures] == expected

    def test_its_encoding_encodes_it(self) -> None:
        family, architectures = self.make_family(), self.make_architectures()
        encoding = get_encoding(family.default_encoding, family)
        assert encoding.transform(architectures).shape == (len(architectures), len(encoding.names))

    def test_what_needs_a_search_space_says_so(self) -> None:
        family = self.make_family()
        assert family.references(5) == []
        with pytest.raises(InvalidOptionError, match=f"{family.name} is an open family .* encoding {family.default_encoding!r}"):
            get_space(family)
