#pragma once

#include <rdma/fabric.h>

#include <memory>

namespace smddp {

/// Closes what libfabric has opened.
template <typename T>
struct FidCloser {
  void operator()(T* object) const noexcept { ::fi_close(&object->fid); }
};

template <typename T>
using Fid = std::unique_ptr<T, FidCloser<T>>;

}  // namespace smddp
