#include "provider/cuda/driver.h"

#include <cstring>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace smddp::cuda {
namespace {

// What the fake driver answers; functions of C have no other place for it.
int init_answer = 0;
std::vector<std::string> names;

int init(unsigned /*flags*/) { return init_answer; }
int get_version(int* version) {
  *version = 13000;
  return 0;
}
int get_count(int* count) {
  *count = static_cast<int>(names.size());
  return 0;
}
int get_device(int* device, int ordinal) {
  *device = 100 + ordinal;
  return 0;
}
int get_name(char* name, int size, int device) {
  std::strncpy(name, names.at(static_cast<std::size_t>(device - 100)).c_str(),
               static_cast<std::size_t>(size));
  return 0;
}
int get_error_string(int error, const char** text) {
  *text = error == 100 ? "no CUDA-capable device is detected" : nullptr;
  return error == 100 ? 0 : 1;
}

constexpr DriverTable kFake{init, get_version, get_count, get_device, get_name, get_error_string};

TEST_CASE("devices are named in the driver's order") {
  init_answer = 0;
  names = {"NVIDIA H200", "NVIDIA A100"};
  const CudaFacts facts = facts_of(kFake);
  CHECK(facts.driver == 13000);
  CHECK(facts.devices == names);
  CHECK(facts.problem.empty());
}

TEST_CASE("a machine without devices says why") {
  names.clear();
  init_answer = 100;
  CHECK(facts_of(kFake).problem == "cuInit: no CUDA-capable device is detected");
  init_answer = 999;
  CHECK(facts_of(kFake).problem == "cuInit: error 999");
  init_answer = 0;
  CHECK(facts_of(kFake).problem == "the driver sees no device");
}

TEST_CASE("asking this machine always ends with devices or a reason") {
  const CudaFacts facts = cuda_facts();
  CHECK(facts.devices.empty() == !facts.problem.empty());
}

}  // namespace
}  // namespace smddp::cuda
