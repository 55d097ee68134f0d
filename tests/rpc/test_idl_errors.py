"""What is wrong in a file is said in a sentence, with file, line and column."""

from __future__ import annotations

import random
import re

import pytest

from ipckit.rpc.idl import IdlError, compile_source
from tests.rpc.idl_tools import HOSTILE_NAMES, imported

P = "program P { version V { %s } = 1; } = 2;"
ERRORS = [
    # the grammar
    ("int x;", "1:1: expected 'const', 'typedef', 'enum', 'struct', 'union' or 'program', not 'int'"),
    ("const A = 1", "1:12: expected ';' after '1', not the end of the file"),
    ("const A = 1\nconst B = 2;", "1:12: expected ';' after '1', not 'const'"),
    ("struct s {\n\tint a\n\tint b;\n};", "2:7: expected ';' after 'a', not 'int'"),
    ("struct s { int a; } const", "1:21: expected ';' after '}', not 'const'"),
    ("struct s { };", "1:12: expected a type after '{', not '}'"),
    ("struct s { void; };", "1:12: a member of a struct can't be void"),
    ("struct s { int int; };", "1:16: 'int' is a word of the language and can't be a name"),
    ("struct program { int a; };", "1:8: 'program' is a word of the language and can't be the name of the struct"),
    ("struct s { string a; };", "1:20: expected '<' after 'a', not ';'"),
    ("struct s { string a[3]; };", "1:20: a string has no fixed length"),
    ("struct s { opaque a; };", "1:20: expected '[' or '<' after 'a', not ';'"),
    ("struct s { int a[]; };", "1:18: expected the number of elements after '[', not ']'"),
    ("struct s { int a<3; };", "1:19: expected '>' after '3', not ';'"),
    ("struct s { opaque *a; };", "1:19: opaque can't be optional by itself"),
    ("struct s { unsigned float a; };", "1:21: 'float' is a word of the language and can't be a name"),
    ("struct s { struct a; };", "1:20: expected a name after 'a', not ';'"),
    ("struct s { union { int a; } b; };", "1:18: expected 'switch' after 'union', not '{'"),
    ("enum e { };", "1:10: expected the name of an enumerator after '{', not '}'"),
    ("enum e { A = , B };", "1:14: expected a number or a constant after '=', not ','"),
    ("enum e { A B };", "1:12: expected ',' or '}' after 'A', not 'B'"),
    ("union u switch (int a) { };", "1:26: expected 'case' after '{', not '}'"),
    (
        "union u switch (int a) { case 1: int b; int c; };",
        "1:41: expected 'case', 'default' or '}' after ';', not 'int'",
    ),
    ("union u switch (int a) { case 1: int b; default: void; case 2: void; };", "1:56: expected '}' after ';'"),
    ("union u switch (int a<>) { case 1: void; };", "1:17: the discriminant of a union must be an integer"),
    ("typedef void;", "1:9: void can't be given a name"),
    ("const A = 08;", "1:11: '08' is not octal (it begins with 0)"),
    ("const A = 12ab;", "1:11: '12ab' is not a number"),
    ("const A = 18446744073709551616;", "1:11: a number of more than 64 bits"),
    pytest.param(f"const A = {'9' * 5000};", "1:11: a number of more than 64 bits", id="thousands of digits"),
    pytest.param(f"typedef int a<0x{'F' * 5000}>;", "1:15: a number of more than 64 bits", id="thousands of nibbles"),
    ("%#define N 0xFFFFFFFFFF * 0xFFFFFFFFFF\ntypedef int a<N>;", "2:15: 'N' is not defined"),
    ("const A = 0x;", "1:11: '0x' is not a number"),
    ("const A = $;", "1:11: there is '$', which means nothing here"),
    ("const A = 1; /* a\nb", "1:14: there is a comment that does not end"),
    (P % "int A(void, int) = 1;", "1:35: expected ')' after 'void', not ','"),
    (P % "int A(int, void) = 1;", "1:36: void stands alone between the brackets"),
    (P % "int A(int);", "1:35: expected '=' after ')', not ';'"),
    ("program P { } = 1;", "1:13: expected 'version' after '{', not '}'"),
    ("program P { version V { } = 1; } = 2;", "1:25: expected a type after '{', not '}'"),
    # names
    ("const A = 1;\nconst A = 2;", "2:7: 'A' is already defined in service.x, line 1"),
    ("enum e { A }; enum f { A };", "1:24: 'A' is already defined in service.x, line 1"),
    ("struct s { int a; int a; };", "1:23: 'a' is already defined in service.x, line 1"),
    ("union u switch (int k) { case 1: int a; case 2: int a; };", "1:53: 'a' is already defined in service.x, line 1"),
    ("struct s { colour c; }; enum color { RED };", "1:12: there is no type 'colour'; is 'color' meant?"),
    ("typedef A b; const A = 1;", "1:9: 'A' is a constant or a program, not a type"),
    ("typedef struct e s; enum e { A };", "1:16: 'e' is of kind enum, not struct"),
    ("const A = B;", "1:11: 'B' is not defined"),
    ("typedef int a<LENGHT>; const LENGTH = 3;", "1:15: 'LENGHT' is not defined; is 'LENGTH' meant?"),
    ("struct s { int a[s]; };", "1:18: 's' is a type, not a constant"),
    ("const A = B; const B = A;", "1:11: the constant 'B' is defined by itself"),
    # values
    ("typedef int a<-1>;", "1:15: a number of elements must be from 0 to 4294967295, not -1"),
    ("typedef int a[4294967296];", "1:15: a number of elements must be from 0 to 4294967295, not 4294967296"),
    ('const A = "x"; typedef int a[A];', "1:11: a string can't stand here"),
    ("enum e { A = 2147483647, B };", "1:26: an enumerator must fit 32 bits with a sign; 2147483648 does not"),
    ("enum e { A }; union u switch (e k) { case 1: void; };", "1:43: the enum 'e' has no value 1"),
    ("enum e { A }; const B = 9; union u switch (e k) { case B: void; };", "1:56: the enum 'e' has no value 9"),
    ("union u switch (int k) { case 1: case 1: void; };", "1:39: the case 1 is already in line 1"),
    ("enum e { A, B = 0 }; union u switch (e k) { case A: case B: void; };", "1:58: the case 0 is already in line 1"),
    ("union u switch (bool k) { case 2: void; };", "1:32: 2 is not a value of the discriminant"),
    ("union u switch (unsigned k) { case -1: void; };", "1:36: -1 is not a value of the discriminant"),
    (
        "union u switch (double k) { case 1: void; };",
        "1:17: the discriminant of a union must be an int, unsigned int, bool",
    ),
    ("union u switch (hyper k) { case 1: void; };", "1:17: the discriminant of a union must be an int"),
    ("struct s { int a; }; union u switch (s k) { case 1: void; };", "1:38: the discriminant of a union must be"),
    # programs
    (P % "int A(int) = 1; int B(int) = 1;", "1:54: the procedure 'A' has the number 1 already"),
    (P % "int A(int) = 1; int A(int) = 2;", "1:45: the procedure 'A' is already defined in service.x, line 1"),
    (P % "int A(int a, int a) = 1;", "1:42: 'a' is already defined"),
    (P % "int A(int) = -1;", "1:38: the number of a procedure must be from 0 to 4294967295, not -1"),
    (P % "int A(foo) = 1;", "1:31: there is no type 'foo'"),
    (
        "program P { version V { int A(int) = 1; } = 1; version W { int A(int) = 1; } = 1; } = 2;",
        "1:80: the version 'V' has the number 1 already",
    ),
    (
        "program P { version V { int A(int) = 1; } = 1; version V { int A(int) = 1; } = 2; } = 2;",
        "1:56: the version 'V' is already defined",
    ),
    (
        (P % "int A(int) = 1;") + "program Q { version V { int A(int) = 1; } = 1; } = 2;",
        "the program 'P' has the number 2",
    ),
    # types without end
    ("struct s { s a; };", "1:8: the struct 's' holds itself, and would never end"),
    ("struct a { b x; }; struct b { c x[2]; }; typedef a c;", "1:8: the struct 'a' holds itself"),
    ("union u switch (int k) { case 1: u a; default: u b; };", "1:7: the union 'u' holds itself"),
    ("typedef a b; typedef b a;", "the typedef 'a' is made of itself"),
    ("typedef a b<>; typedef b a<>;", "the typedef 'a' is made of itself"),
    ("typedef a *a;", "1:12: the typedef 'a' is made of itself"),
]


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_every_error_has_its_sentence(text, message):
    with pytest.raises(IdlError) as caught:
        compile_source(text, "service.x")
    said = [f"{problem.place}: {problem.message}" for problem in caught.value.problems]
    wanted = f"service.x:{message}" if message[0].isdigit() else message
    assert any(line.startswith(wanted) if message[0].isdigit() else wanted in line for line in said), said


def test_the_line_is_shown_with_a_caret_below_the_column():
    with pytest.raises(IdlError) as caught:
        compile_source("struct s {\n\tint a;  foo b;\n\tbar c;\n};", "dir/service.x")
    assert str(caught.value) == (
        "dir/service.x:2:10: there is no type 'foo'\n    \tint a;  foo b;\n    \t        ^\n"
        "dir/service.x:3:2: there is no type 'bar'\n    \tbar c;\n    \t^"
    )


@pytest.mark.parametrize(
    "text",
    [
        "union u switch (bool more) { case TRUE: u next; case FALSE: void; };",
        "struct s { s *a; s b<>; s c[0]; };",
        "struct a { b x; }; struct b { a *x; };",
        "typedef struct node *list; struct node { list next; };",
        "typedef struct s s; struct s { int a; };",
        "enum e { A, B = A };",
        "struct s { int a; } /* no name follows */;",
    ],
)
def test_what_looks_wrong_and_is_right(text):
    with imported(compile_source(text, "service.x").source):
        pass


def test_definitions_without_end_are_one_error_where_they_begin():
    with pytest.raises(IdlError) as caught:
        compile_source("struct a { a x; }; struct b { a x; }; struct c { b x; };", "service.x")
    assert [problem.message.split()[2] for problem in caught.value.problems] == ["'a'"]


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"const A{n} = A{n + 1};" for n in range(1500)),
        "struct s {" + "struct {" * 5000,
        "typedef int x<" + "-" * 5000,
        "#if " + "(" * 5000 + "\n#endif",
        "#if " + "!" * 5000 + "1\n#endif",
        "#define A A\n#if A\n#endif",
        "#define A B\n#define B A\nconst C = A;",
    ],
)
def test_depth_is_an_error_like_any_other(text):
    with pytest.raises(IdlError):
        compile_source(text, "service.x")


@pytest.mark.slow
def test_no_garbage_breaks_the_compiler_and_what_it_accepts_runs():
    words = re.findall(r"\w+|[^\w\s]|\s+", HOSTILE_NAMES.read_text())
    dice = random.Random(4506)
    accepted, refused = 0, []
    for _ in range(25):
        mangled = list(words)
        for _ in range(dice.choice((1, 1, 3))):
            at = dice.randrange(len(mangled))
            mangled[at : at + dice.randrange(3)] = dice.choices(words, k=dice.randrange(3))
        try:
            source = compile_source("".join(mangled), "service.x").source
        except IdlError as error:
            refused.append(str(error))
            continue
        with imported(source):
            accepted += 1
    assert accepted >= 3
    assert all(re.match(r"service\.x:\d+:\d+: ", text) for text in refused)
