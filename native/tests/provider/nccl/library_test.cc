#include "provider/nccl/library.h"

#include <string>

#include <doctest/doctest.h>

#include "provider/nccl/fake_nccl.h"

namespace smddp::nccl {
namespace {

using test::fake_symbol;
using test::FakeNccl;

ResultCode old_version(int* version) {
  *version = 22506;
  return ResultCode::kSuccess;
}

TEST_CASE("all functions are bound by NCCL's names") {
  FakeNccl fake;
  const Library library = fake.library();
  CHECK((library.table.get_version != nullptr));
  CHECK((library.table.recv != nullptr));
  CHECK(version_text(library.version) == "2.32.3");
}

TEST_CASE("a missing function is named") {
  FakeNccl fake;
  (void)fake.library();
  const auto without = [](const char* name) {
    return std::string{name} == "ncclCommAbort" ? nullptr : fake_symbol(name);
  };
  const Status status = bind_table(without, "/opt/libnccl.so.2").status();
  CHECK(status.code() == StatusCode::kConfig);
  CHECK(
      status.message() ==
      "NCCL in /opt/libnccl.so.2 cannot be used: it has no ncclCommAbort; install 2.27.0 or newer, "
      "as your torch's CUDA has it (pip install nvidia-nccl-cu12 or -cu13)");
}

TEST_CASE("a library that is too old says so rather than what it lacks") {
  const auto old = [](const char* name) -> void* {
    return std::string{name} == "ncclGetVersion" ? reinterpret_cast<void*>(old_version) : nullptr;
  };
  const Status status = bind_table(old, "/opt/libnccl.so.2").status();
  CHECK(status.code() == StatusCode::kConfig);
  CHECK(status.message().find("it is 2.25.6; install 2.27.0 or newer") != std::string::npos);
}

TEST_CASE("what cannot be loaded is told with what to install") {
  const auto loaded = load_library({"/nowhere/libnccl.so.2"});
  if (loaded.ok()) {
    MESSAGE("left out: the loader finds NCCL in " << loaded.value().path);
    return;
  }
  CHECK(loaded.status().code() == StatusCode::kConfig);
  CHECK(loaded.status().message().find("nvidia-nccl-cu12 or -cu13") != std::string::npos);
  CHECK(loaded.status().message().find("/nowhere/libnccl.so.2") != std::string::npos);
}

}  // namespace
}  // namespace smddp::nccl
