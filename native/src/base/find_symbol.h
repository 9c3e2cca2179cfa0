#pragma once

#include <dlfcn.h>

namespace smddp {

/// Sets `function` to that of a library from dlopen. False, and dlerror tells why: it has none.
template <typename Function>
bool find_symbol(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

}  // namespace smddp
