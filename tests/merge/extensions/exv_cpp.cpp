// SPDX-License-Identifier: Apache-2.0
// C++ known functions: callbacks from templates, from catch blocks, and from destructors while an exception flies.
#include <stdexcept>

extern "C" void exv_enter(const char *name);
extern "C" void exv_leave(void);

namespace exv {

using callback = int(int);

struct mark {
  explicit mark(const char *name) { exv_enter(name); }
  ~mark() { exv_leave(); }
};

class caller {
public:
  explicit caller(callback *call) : call_(call) {}
  __attribute__((noinline)) int run(int number) const {
    mark here("exv::caller::run");
    return call_(number) + 1;
  }

private:
  callback *call_;
};

struct adder {
  callback *call;
  int operator()(int number) const { return call(number) + 1; }
};

template <typename F> __attribute__((noinline)) int apply(F function, int number) {
  mark here("exv::apply");
  return function(number) + 1;
}

__attribute__((noinline)) void thrower(int number) {
  if (number > 0) throw std::runtime_error("known function");
}

__attribute__((noinline)) int in_catch(callback *call, int number) {
  mark here("exv::in_catch");
  try {
    thrower(number);
  } catch (const std::exception &) {
    return call(number) + 1;
  }
  return 0;
}

struct guard {
  callback *call;
  int number;
  __attribute__((noinline)) ~guard() {
    mark here("exv::guard::~guard");
    call(number);
  }
};

__attribute__((noinline)) int in_unwinding(callback *call, int number) {
  mark here("exv::in_unwinding");
  guard held{call, number};
  thrower(number);
  return 0;
}

} // namespace exv

extern "C" int exv_cpp(exv::callback *call, int number) {
  exv::mark here("exv_cpp");
  return exv::caller(call).run(number) + 1;
}

extern "C" int exv_cpp_template(exv::callback *call, int number) {
  exv::mark here("exv_cpp_template");
  return exv::apply(exv::adder{call}, number);
}

extern "C" int exv_cpp_catch(exv::callback *call, int number) {
  exv::mark here("exv_cpp_catch");
  return exv::in_catch(call, number) + 1;
}

extern "C" int exv_cpp_unwinding(exv::callback *call, int number) {
  exv::mark here("exv_cpp_unwinding");
  try {
    exv::in_unwinding(call, number);
  } catch (const std::exception &) {
    return 1;
  }
  return 0;
}
