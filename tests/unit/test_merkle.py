"""Merkle trees: the vectors of Certificate Transparency, and paths of all sizes."""

import hashlib

import pytest

from seec.schemas.merkle import Tree, head_digest, node, path_to, root_from, row_leaf, shard_leaf

# Leaves and roots of the tests of Certificate Transparency (certificate-transparency-go, merkle).
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
INPUTS.append("606162636465666768696a6b6c6d6e6f")
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaves() -> list[bytes]:
    return [hashlib.sha256(b"\0" + bytes.fromhex(one)).digest() for one in INPUTS]


def test_roots_are_those_of_certificate_transparency():
    assert Tree().root == hashlib.sha256(b"").digest()
    for size, root in enumerate(ROOTS, 1):
        assert Tree.of(leaves()[:size]).root.hex() == root


@pytest.mark.parametrize("size", [*range(1, 34), 100])
def test_a_path_leads_from_each_leaf_to_the_root(size: int):
    found = [hashlib.sha256(bytes([n])).digest() for n in range(size)]
    root = Tree.of(found).root
    for index, leaf in enumerate(found):
        path = path_to(found, index)
        assert root_from(leaf, index, size, path) == root
        assert len(path) <= (size - 1).bit_length()
        for wrong in (index - 1, index + 1):
            assert root_from(leaf, wrong, size, path) != root
        assert root_from(node(leaf, leaf), index, size, path) != root
        assert root_from(leaf, index, size, [*path, leaf]) is None
        assert root_from(leaf, index, size, path[:-1]) in ([None] if path else [root])


def test_a_tree_grows_as_if_made_at_once():
    grown = Tree()
    for count, leaf in enumerate(leaves(), 1):
        grown = grown.extended([leaf])
        assert grown == Tree.of(leaves()[:count])
        assert grown.is_sound
    assert not Tree(3, (leaves()[0],)).is_sound
    assert not Tree(1, (b"short",)).is_sound


def test_leaves_of_all_kinds_differ():
    """A row can be passed off neither as a node, nor as a shard, nor as a head."""
    digest = bytes(32)
    found = {
        row_leaf("a", "file", 1, digest),
        row_leaf("a", "link", 1, digest),
        row_leaf("a", "directory", 1, digest),
        row_leaf("b", "file", 1, digest),
        row_leaf("a", "file", 2, digest),
        shard_leaf("a", 1, digest),
        node(digest, digest),
        bytes.fromhex(head_digest(1, digest.hex(), digest)),
    }
    assert len(found) == 8
