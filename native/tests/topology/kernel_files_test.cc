#include "topology/kernel_files.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace smddp::test {
namespace {

namespace fs = std::filesystem;

/// A folder with the given files, gone at the end.
class FakeRoot {
 public:
  explicit FakeRoot(const std::map<std::string, std::string>& files) {
    std::string name = (fs::temp_directory_path() / "smddp-root-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
    for (const auto& [file, text] : files) {
      fs::create_directories((path_ / file).parent_path());
      std::ofstream(path_ / file) << text;
    }
  }
  ~FakeRoot() { fs::remove_all(path_); }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

TEST_CASE("kernel files: sets of processors") {
  CHECK(parse_cpu_list("0-3,8,10-11") == std::vector<int>{0, 1, 2, 3, 8, 10, 11});
  CHECK(parse_cpu_list("5") == std::vector<int>{5});
  CHECK(parse_cpu_list("").empty());
  CHECK(parse_cpu_list("all").empty());
  CHECK(parse_cpu_list("1,x") == std::vector<int>{1});
  CHECK(parse_cpu_list("2-").empty());
  CHECK(parse_cpu_list("0-99999999").empty());
  CHECK(parse_cpu_list("3-1").empty());
}

TEST_CASE("kernel files: text and numbers, or nothing") {
  const FakeRoot root{{{"text", "  a b \n\n"}, {"blank", "\n"}, {"rate", "100 Gb/sec (4X EDR)\n"}}};
  CHECK(read_text(root.path() / "text") == "a b");
  CHECK(read_text(root.path() / "blank").empty());
  CHECK(read_text(root.path() / "nothing").empty());
  CHECK(read_number(root.path() / "rate") == 100);
  CHECK_FALSE(read_number(root.path() / "text").has_value());
  CHECK(names_in(root.path()) == std::vector<std::string>{"blank", "rate", "text"});
  CHECK(names_in(root.path() / "nothing").empty());
}

TEST_CASE("kernel files: what the control groups allow") {
  struct Case {
    std::map<std::string, std::string> files;
    std::vector<int> cpus;
    double cpu_limit;
  };
  const std::vector<Case> cases{
      {{}, {}, 0},
      // version 2: the tightest quota on the way up, the innermost set of processors
      {{{"proc/self/cgroup", "0::/job/step\n"},
        {"sys/fs/cgroup/job/cpu.max", "150000 100000\n"},
        {"sys/fs/cgroup/job/step/cpu.max", "max 100000\n"},
        {"sys/fs/cgroup/job/step/cpuset.cpus.effective", "2-3\n"},
        {"sys/fs/cgroup/cpuset.cpus.effective", "0-3\n"}},
       {2, 3},
       1.5},
      // a container that sees itself at the top
      {{{"proc/self/cgroup", "0::/\n"},
        {"sys/fs/cgroup/cpu.max", "400000 100000\n"},
        {"sys/fs/cgroup/cpuset.cpus.effective", "0-1\n"}},
       {0, 1},
       4},
      // version 1
      {{{"proc/self/cgroup", "5:cpu,cpuacct:/box\n4:cpuset:/box\n1:memory:/box\n"},
        {"sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "250000\n"},
        {"sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n"},
        {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"},
        {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"},
        {"sys/fs/cgroup/cpuset/box/cpuset.effective_cpus", "7\n"}},
       {7},
       2.5},
  };
  for (const Case& each : cases) {
    CAPTURE(each.cpu_limit);
    const FakeRoot root{each.files};
    const Allowance allowance = read_allowance(root.path());
    CHECK(allowance.cpus == each.cpus);
    CHECK(allowance.cpu_limit == each.cpu_limit);
  }
}

}  // namespace
}  // namespace smddp::test
