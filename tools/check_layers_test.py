#!/usr/bin/env python3
"""Plants violations in a tree of three folders and expects check_layers.py to find each, and nothing else."""

import pathlib
import tempfile
import unittest

from check_layers import violations

TREE = {
    "CMakeLists.txt": "add_subdirectory(src/core)\n# add_subdirectory(src/later)\nadd_subdirectory(src/ops)\n",
    "src/core/error.h": "#include <string>\n",
    "src/core/error.cpp": '#include "core/error.h"\n',
    "src/ops/norm.h": '#include "core/error.h"\n',
}


class CheckLayers(unittest.TestCase):
    def check(self, more):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in (TREE | more).items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return violations(root)[0]

    def test_includes_that_point_up_are_fine(self):
        self.assertEqual(self.check({}), [])

    def test_an_include_that_points_back_is_found(self):
        self.assertEqual(
            self.check({"src/core/tensor.cpp": '// first\n#include "core/error.h"\n#  include "ops/norm.h"\n'}),
            ['src/core/tensor.cpp:3: core may not include "ops/norm.h": ops comes after it'],
        )

    def test_tests_and_device_code_are_looked_at_too(self):
        more = {name: '#include "ops/norm.h"\n' for name in ("src/core/a_test.cpp", "src/core/b.cu", "src/core/sub/c.inc")}
        self.assertEqual(len(self.check(more)), 3)

    def test_a_folder_outside_the_list_is_found(self):
        self.assertEqual(
            self.check({"src/later/later.h": ""}),
            ["src/later/later.h:1: folder later is not in the list of the top CMakeLists.txt"],
        )

    def test_an_include_beside_its_file_is_found(self):
        self.assertEqual(
            self.check({"src/ops/norm.cpp": '#include "norm.h"\n'}),
            ['src/ops/norm.cpp:1: "norm.h" is not written from src/, as in "core/error.h"'],
        )

    def test_an_include_of_nothing_is_found(self):
        self.assertEqual(
            self.check({"src/ops/norm.cpp": '#include "core/gone.h"\n'}),
            ['src/ops/norm.cpp:1: "core/gone.h" does not exist'],
        )


if __name__ == "__main__":
    unittest.main()
