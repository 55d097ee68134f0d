"""The RPC language's types and constants, and what becomes of them."""

from __future__ import annotations

import dataclasses

import pytest

from ipckit.rpc import xdr
from ipckit.rpc.idl import compile_source
from tests.rpc.idl_tools import body, imported

FIELDS = {
    "int a;": "a: xdr.Int",
    "unsigned int a;": "a: xdr.UInt",
    "unsigned a;": "a: xdr.UInt",
    "hyper a;": "a: xdr.Hyper",
    "unsigned hyper a;": "a: xdr.UHyper",
    "float a;": "a: xdr.Float",
    "double a;": "a: xdr.Double",
    "quadruple a;": "a: xdr.Quadruple",
    "bool a;": "a: bool",
    "opaque a[5];": "a: Annotated[bytes, xdr.Fixed(5)]",
    "opaque a<5>;": "a: Annotated[bytes, xdr.Max(5)]",
    "opaque a<>;": "a: bytes",
    "string a<255>;": "a: Annotated[str, xdr.Max(255)]",
    "string a<>;": "a: str",
    "int a[3];": "a: Annotated[list[xdr.Int], xdr.Fixed(3)]",
    "int a<3>;": "a: Annotated[list[xdr.Int], xdr.Max(3)]",
    "int a<>;": "a: list[xdr.Int]",
    "int *a;": "a: xdr.Int | None",
    "opaque a<0x1f>;": "a: Annotated[bytes, xdr.Max(0x1F)]",
    "opaque a<010>;": "a: Annotated[bytes, xdr.Max(0o10)]",
    "opaque a<0>;": "a: Annotated[bytes, xdr.Max(0)]",
    "char a;": "a: xdr.Int",
    "unsigned char a;": "a: xdr.UInt",
    "short int a;": "a: xdr.Int",
    "long a;": "a: xdr.Int",
    "unsigned long a;": "a: xdr.UInt",
    "long long a;": "a: xdr.Hyper",
    "u_int a;": "a: xdr.UInt",
    "int64_t a;": "a: xdr.Hyper",
    "uint64_t a;": "a: xdr.UHyper",
    "u_int16_t a;": "a: xdr.UInt",
    "bool_t a;": "a: bool",
    "int from;": "from_: xdr.Int",
    "int a; /* why */": "a: xdr.Int  # why",
    "int a; // why": "a: xdr.Int  # why",
}


@pytest.mark.parametrize("text", FIELDS)
def test_declarations(text):
    lines = body("struct s {\n" + text + "\n};").splitlines()
    assert lines[-1] == "    " + FIELDS[text]


DEFINITIONS = {
    "const A = 12;": "A = 12",
    "const A = -12;": "A = -12",
    "const A = 0XfF;": "A = 0xFF",
    "const A = 0755;": "A = 0o755",
    'const A = "it\'s \\ so";': 'A = "it\'s \\\\ so"',
    "const A = 1; const B = A;": "A = 1\nB = A",
    "const B = A; const A = 1;": "A = 1\nB = A",
    "typedef int t;": "T = xdr.Int",
    "typedef string t<9>;": "T = Annotated[str, xdr.Max(9)]",
    "typedef a b; typedef int a;": "A = xdr.Int\nB = A",
    "/* up */\ntypedef int t;": "# up\nT = xdr.Int",
    "typedef int t; /* back */": "T = xdr.Int  # back",
    "typedef netobj handle;": "Netobj = Annotated[bytes, xdr.Max(1024)]\nHandle = Netobj",
    "typedef int netobj; typedef netobj handle;": "Netobj = xdr.Int\nHandle = Netobj",
    "typedef int uint32_t; typedef uint32_t n;": "Uint32T = xdr.Int\nN = Uint32T",
    "typedef string name<MAXNETNAMELEN>;": "MAXNETNAMELEN = 255\n\nName = Annotated[str, xdr.Max(MAXNETNAMELEN)]",
    "typedef int key_value; typedef int KEY_VALUE2; typedef int READ3args;": (
        "KeyValue = xdr.Int\nKeyValue2 = xdr.Int\nREAD3args = xdr.Int"
    ),
    "enum e { A };": 'class E(IntEnum):\n    """The enum `e`."""\n\n    A = 0',
    "enum e { A, B = 7, C, D = A };": (
        'class E(IntEnum):\n    """The enum `e`."""\n\n    A = 0\n    B = 7\n    C = 8\n    D = A'
    ),
    "/* What it\n   is. */\nenum e { A /* one */ = 1, /* two */ B /* three */ };": (
        'class E(IntEnum):\n    """What it\n    is.\n    """\n\n    A = 1  # two\n    B = 2  # three'
    ),
}


@pytest.mark.parametrize("text", DEFINITIONS)
def test_definitions(text):
    assert body(text) == DEFINITIONS[text] + "\n"


def test_enumerators_are_constants_and_constants_values_of_enums():
    with imported(
        compile_source("enum e { A = B, C = D }; const B = 5; enum f { D = 3 }; const G = C;", "a.x").source
    ) as m:
        assert (m.E.A, m.E.C, m.B, m.F.D, m.G) == (5, 3, 5, 3, 3)


def test_enumerators_of_two_enums_may_be_made_of_one_another():
    text = "enum a { ONE = 1, THREE = TWO_MORE }; enum b { TWO = ONE, TWO_MORE = 3 };"
    with imported(compile_source(text, "a.x").source) as module:
        assert [int(one) for one in (*module.A, *module.B)] == [1, 3, 1, 3]


def test_bodies_inside_of_declarations_get_names():
    text = """
    struct outer {
        enum { RED, GREEN } colour;
        struct {
            int x;
            union switch (bool more) { case TRUE: struct { int y; } deep; case FALSE: void; } rest;
        } points<2>;
    };
    typedef union switch (int k) { case 1: enum { ONE } e; } choice;
    typedef struct { int z; } three[3];
    """
    with imported(compile_source(text, "a.x").source) as module:
        value = module.Outer(
            module.OuterColour.GREEN,
            [module.OuterPoints(7, module.OuterPointsRest(True, module.OuterPointsRestDeep(8)))],
        )
        codec = xdr.codec(module.Outer)
        assert codec.encode(value).hex(" ", 4) == "00000001 00000001 00000007 00000001 00000008"
        assert codec.decode(codec.encode(value)) == value
        assert xdr.codec(module.Choice).encode(module.Choice(1, module.ChoiceE.ONE)) == bytes([0, 0, 0, 1, 0, 0, 0, 0])
        assert xdr.codec(module.Three).encode([module.ThreeElement(1)] * 3) == bytes([0, 0, 0, 1]) * 3


UNIONS = [
    ("int", "case 1: int a; case -2: void;", {1: 5, -2: None}, 3),
    ("unsigned", "case 4294967295: int a; default: void;", {4294967295: 5, 7: None}, None),
    ("bool", "case TRUE: int a; case FALSE: void;", {True: 5, False: None}, None),
    ("bool", "case 1: int a; case 0: void;", {True: 5, False: None}, None),
    ("e", "case A: int a; case B: case C: string b<3>; default: void;", {0: 5, 1: "x", 2: "y", 3: None}, None),
    ("e", "case 1: int a;", {1: 5}, 0),
    ("alias", "case A: opaque a[2]; case D: double b<>;", {0: b"ab", 3: [1.5]}, 1),
    ("char", "case 'x': int a;", {120: 5}, 1),
]


@pytest.mark.parametrize(("kind", "cases", "values", "wrong"), UNIONS)
def test_unions(kind, cases, values, wrong):
    text = f"enum e {{ A, B, C, D }}; typedef e alias; union u switch ({kind} k) {{ {cases} }};"
    with imported(compile_source(text, "a.x").source) as module:
        codec = xdr.codec(module.U)
        discriminant = module.E if kind in {"e", "alias"} else bool if kind == "bool" else int
        for number, value in values.items():
            whole = module.U(discriminant(number), value)
            assert codec.decode(codec.encode(whole)) == whole
        if wrong is not None:
            with pytest.raises(xdr.XdrError):
                codec.encode(module.U(discriminant(wrong), None))


def test_lists_are_chains_and_a_pointer_to_a_pointer_is_a_struct_between():
    text = """
    typedef struct node *list;
    struct node { int n; list next; };
    typedef list *maybe;
    struct holder { maybe a; list *b; list c[2]; };
    """
    with imported(compile_source(text, "a.x").source) as module:
        chain = None
        for number in range(5000):
            chain = module.Node(number, chain)
        codec = xdr.codec(module.List)
        decoded = codec.decode(codec.encode(chain))
        assert decoded.n == 4999
        assert len(codec.encode(chain)) == 5000 * 8 + 4
        box = module.ListBox
        holder = xdr.codec(module.Holder)
        for value in (None, box(None), box(module.Node(1, None))):
            whole = module.Holder(value, value, [None, None])
            assert holder.decode(holder.encode(whole)) == whole
        assert holder.encode(module.Holder(None, box(None), [None, None])).hex(" ", 4) == (
            "00000000 00000001 00000000 00000000 00000000"
        )


def test_fields_are_in_the_order_of_the_file():
    with imported(compile_source("struct s { int b; int a; s *c; };", "a.x").source) as module:
        assert [field.name for field in dataclasses.fields(module.S)] == ["b", "a", "c"]


def test_members_hide_neither_constants_nor_types():
    text = """
    const SIZE = 2; const VERSION = 3; const NAME = 4;
    typedef int Size;
    struct s { opaque SIZE[SIZE]; opaque b[SIZE]; Size Size; Size c; };
    program P { version V { void F(opaque<VERSION> VERSION, opaque<NAME>) = 1; } = VERSION; } = NAME;
    """
    with imported(compile_source(text, "a.x").source) as module:
        assert [field.name for field in dataclasses.fields(module.S)] == ["SIZE_", "b", "Size_", "c"]
        assert xdr.codec(module.S).encode(module.S(b"ab", b"cd", 1, 2)) == b"ab\0\0cd\0\0\0\0\0\1\0\0\0\2"
        service = module.PV3
        assert (service.PROGRAM, service.VERSION, service.NAME) == (4, 3, "P")
        arguments = service.PROCEDURES[0].arguments
        assert arguments.decode(arguments.encode((b"123", b"1234"))) == (b"123", b"1234")
        for wrong in ((b"1234", b"1"), (b"1", b"12345")):
            with pytest.raises(xdr.XdrError):
                arguments.encode(wrong)
