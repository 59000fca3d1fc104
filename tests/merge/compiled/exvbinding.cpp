// SPDX-License-Identifier: Apache-2.0
// pybind11: Python calls this, and this calls Python.
#include <pybind11/pybind11.h>

__attribute__((noinline)) static void exv_bound(const pybind11::function &function) { function(); }

PYBIND11_MODULE(exvbinding, module) { module.def("bound", &exv_bound); }
