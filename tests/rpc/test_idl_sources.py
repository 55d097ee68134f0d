"""Includes, macros, conditions, lines for C, comments."""

from __future__ import annotations

import pytest

from ipckit.rpc.idl import IdlError, compile_source
from tests.rpc.idl_tools import body


def test_includes_are_found_beside_the_file_and_in_the_folders_given(tmp_path):
    (tmp_path / "near").mkdir()
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "near" / "consts.x").write_text("const NEAR = 1;\n")
    (tmp_path / "far" / "deep" / "types.x").write_text('#include "own.x"\ntypedef opaque far_type<NEAR>;\n')
    (tmp_path / "far" / "deep" / "own.x").write_text("const OWN = 2;\n")
    service = tmp_path / "near" / "service.x"
    text = '#include "consts.x"\n#include <deep/types.x>\n#include "consts.x"\ntypedef far_type t[OWN];\n'
    source = compile_source(text, str(service), include=[str(tmp_path / "far")]).source
    assert source.startswith('"""Made from service.x by ')
    assert source.endswith(
        "NEAR = 1\nOWN = 2\n\nFarType = Annotated[bytes, xdr.Max(NEAR)]\nT = Annotated[list[FarType], xdr.Fixed(OWN)]\n"
    )
    with pytest.raises(IdlError, match=r"service.x:2:1: there is no file 'deep/types.x' here; -I DIR says"):
        compile_source(text, str(service))


def test_an_error_names_the_included_file(tmp_path):
    (tmp_path / "bad.x").write_text("\nconst A = ;\n")
    with pytest.raises(IdlError, match=r"/bad\.x:2:11: expected a number after '='"):
        compile_source('#include "bad.x"\n', str(tmp_path / "service.x"))


def test_a_file_that_includes_itself_is_read_once(tmp_path):
    service = tmp_path / "service.x"
    service.write_text('#include "other.x"\nconst A = 1;\n')
    (tmp_path / "other.x").write_text('#include "other.x"\nconst B = 2;\n')
    assert "B = 2\nA = 1\n" in compile_source(service.read_text(), str(service)).source


def test_a_header_that_c_includes_is_its_file_in_this_language_without_the_programs(tmp_path):
    (tmp_path / "types.x").write_text("const SIZE = 3;\nprogram P { version V { void A(void) = 1; } = 1; } = 1;\n")
    text = '%#include "types.h"\n%#include <stdio.h>\ntypedef int t[SIZE];\n'
    module = compile_source(text, str(tmp_path / "service.x"))
    assert module.source.endswith("SIZE = 3\n\nT = Annotated[list[xdr.Int], xdr.Fixed(SIZE)]\n")
    assert [(note.place.line, note.message) for note in module.notes] == [(2, "this line is meant for C, and left out")]


def test_lines_for_c_are_left_out_and_noted_once_for_each_run():
    text = "%/* begins\n%struct {{{\\\n goes on '\n%}\nconst A = 1;\n %\n"
    with pytest.raises(IdlError, match=r"service\.x:6:2: there is '%'"):
        compile_source(text, "service.x")
    module = compile_source(text[:-3] + "%last\n", "service.x")
    assert [(note.place.line, note.message) for note in module.notes] == [
        (1, "this line and the 3 after it are meant for C, and left out"),
        (6, "this line is meant for C, and left out"),
    ]


def test_constants_that_lines_for_c_define_are_known():
    text = "%#define MOST 16\n%#define MORE (MOST + 1) * 2\n%#define F(a) a\ntypedef int t<MORE>; typedef int u<MOST>;"
    assert body(text).startswith("MORE = 34\nMOST = 16\n")
    with pytest.raises(IdlError, match="'F' is not defined"):
        compile_source(text + "typedef int v<F>;", "service.x")


CONDITIONS = {
    "#ifdef A": False,
    "#ifndef A": True,
    "#ifdef ONE": True,
    "#ifdef RPC_HDR /* the header */": True,
    "#ifdef RPC_SVC": False,
    "#if 0": False,
    "#if A": False,
    "#if ONE": True,
    "#if TWO == 2 && !defined(A)": True,
    "#if defined A || defined ONE": True,
    "#if (TWO - ONE) * 0x10 > 15": True,
    "#if TWO<=-1": False,
    "#if TWO + \\\n ONE == 3": True,
    "#  if 1L": True,
}


@pytest.mark.parametrize("line", CONDITIONS)
def test_conditions(line):
    text = f"#define ONE 1\n#define TWO ONE + 1\n{line}\nconst YES = 1;\n#else\nconst NO = 1;\n#endif\n"
    assert body(text) == ("YES = 1\n" if CONDITIONS[line] else "NO = 1\n")


def test_branches():
    text = """
    #if 0
    #if 1
    garbage $ 'x /* not a comment's end
    */
    #else
    #endif
    const A = 1;
    #elif 1
    const B = 1;
    # else
    const C = 1;
    #endif
    #undef NOTHING
    #pragma once
    # 12 "file"
    """
    assert body(text) == "B = 1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#if 1\n", "1:1: this #if has no #endif"),
        ("#endif", "1:1: there is no #if for this #endif"),
        ("\n #else", "2:2: there is no #if for this #else"),
        ("#if\n#endif", "1:1: the expression ends too early"),
        ("#if 1 +\n#endif", "1:1: the expression ends too early"),
        ("#if 1 1\n#endif", "1:1: an operator is missing before '1'"),
        ("#if (1\n#endif", "1:1: a ')' is missing"),
        ("#if ?\n#endif", "1:1: '?' is not understood here"),
        ("#if 08\n#endif", "1:1: '08' is not octal"),
        ("#if 0xFFFFFFFFFF * 0xFFFFFFFFFF\n#endif", "1:1: a number of more than 64 bits"),
        ("#ifdef\n#endif", "1:1: #ifdef needs a name"),
        ("#define", "1:1: #define needs a name"),
        ("#define F(a) a", "1:1: the macro 'F' has parameters"),
        ("#error not so", "1:1: #error not so"),
        ("#import <a>", "1:1: #import is not a directive"),
        ("#include a", '1:1: #include needs "FILE" or <FILE>'),
    ],
)
def test_wrong_directives(text, message):
    with pytest.raises(IdlError) as caught:
        compile_source(text, "service.x")
    assert str(caught.value).startswith(f"service.x:{message}")


def test_macros_stand_for_words_and_are_not_written():
    text = "#define SIZE 4\n#define WORD unsigned int\n#define AGAIN SIZE\ntypedef WORD t[AGAIN];"
    assert body(text) == "T = Annotated[list[xdr.UInt], xdr.Fixed(4)]\n"
    assert body("typedef int t[N];", defines={"N": "7"}) == "T = Annotated[list[xdr.Int], xdr.Fixed(7)]\n"


def test_comments_go_where_they_belong():
    text = """/* the file's own, a line above nothing */

    /* not of A, for a line is between */

    const A = 1; /* behind A */ // and not this
    /* above B */ /* too */
    // and here
    const B = 2;
    /**
     * A struct:
     *
     *   with an indented line.
     **/
    struct s {
        /* above a */
        int a;
        int b;    /* behind b,
                     on two lines */
        int /* odd */ c;
    };
    """
    assert body(text) == (
        "A = 1  # behind A\n\n# above B\n# too\n# and here\nB = 2\n\n\n@dataclass(slots=True)\nclass S:\n"
        '    """A struct:\n\n      with an indented line.\n    """\n\n'
        "    # above a\n    a: xdr.Int\n    b: xdr.Int  # behind b, on two lines\n    c: xdr.Int\n"
    )


def test_line_ends_and_bytes_of_old_files(tmp_path):
    from ipckit.rpc.idl import read_source

    old = tmp_path / "old.x"
    old.write_bytes(b"/* caf\xe9 */\r\nconst A = 1;\r\n")
    assert body(read_source(str(old))) == "# caf\xe9\nA = 1\n"
    old.write_bytes("\ufeff/* café */\nconst A = 1;".encode())
    assert body(read_source(str(old))) == "# café\nA = 1\n"


def test_a_file_that_includes_its_own_header_is_not_read_again(tmp_path):
    service = tmp_path / "service.x"
    service.write_text('%#include "service.h"\n#include "service.x"\nconst A = 1;\n')
    assert compile_source(service.read_text(), str(service)).source.endswith("\nA = 1\n")


def test_comments_that_python_could_not_hold():
    text = '/* bell\a, return\r, \\x41, """ and \u6f22\u5b57 */\nstruct s { int a; /* nul\0 */ };'
    source = compile_source(text, "service.x").source
    compile(source, "service.py", "exec")
    assert '    """bell , return , \\\\x41, \\"\\"\\" and \u6f22\u5b57"""\n' in source
    assert source.endswith("    a: xdr.Int  # nul\n")
