#include "topology/kernel_files.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

namespace smddp {
namespace {

namespace fs = std::filesystem;

// More processors than any machine has, so that a broken file cannot fill the memory.
constexpr int kMaxCpus = 1 << 16;

std::optional<double> to_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? std::optional{value} : std::nullopt;
}

/// The folders of the group that this process is in for a controller and of all above it, the
/// innermost first. In a container, what is above may be out of sight.
std::vector<fs::path> group_folders(const fs::path& root, std::string_view controller) {
  const fs::path top = root / "sys/fs/cgroup";
  std::vector<fs::path> folders;
  std::istringstream groups{read_text(root / "proc/self/cgroup")};
  for (std::string line; std::getline(groups, line);) {
    // "number:controllers:path"; version 2 names no controllers
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string listed = "," + controllers + ",";
    if (!controllers.empty() &&
        listed.find("," + std::string(controller) + ",") == std::string::npos)
      continue;
    const fs::path base = controllers.empty() ? top : top / controllers;
    fs::path within = fs::path(line.substr(second + 1)).relative_path();
    for (; !within.empty(); within = within.parent_path()) folders.push_back(base / within);
    folders.push_back(base);
    if (!controllers.empty()) folders.push_back(top / controller);
  }
  return folders;
}

std::optional<double> quota_of(const fs::path& group) {
  std::istringstream words{read_text(group / "cpu.max")};  // version 2: "quota period"
  std::string quota;
  double period = 0;
  if (words >> quota >> period) {
    const auto number = to_number(quota);
    return number && period > 0 ? std::optional{*number / period} : std::nullopt;
  }
  const auto number = read_number(group / "cpu.cfs_quota_us");
  const auto length = read_number(group / "cpu.cfs_period_us");
  return number && length && *number > 0 && *length > 0 ? std::optional{*number / *length}
                                                        : std::nullopt;
}

}  // namespace

std::string read_text(const fs::path& file) {
  std::ifstream stream(file);
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  const std::string_view blank = " \t\r\n";
  text.erase(text.find_last_not_of(blank) + 1);
  text.erase(0, std::min(text.find_first_not_of(blank), text.size()));
  return text;
}

std::optional<double> read_number(const fs::path& file) { return to_number(read_text(file)); }

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry{folder, error}; !error && entry != fs::directory_iterator{};
       entry.increment(error)) {
    names.push_back(entry->path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<int> parse_cpu_list(std::string_view text) {
  std::vector<int> cpus;
  const char* next = text.data();
  const char* const end = next + text.size();
  while (next != end) {
    int first = 0;
    auto parsed = std::from_chars(next, end, first);
    if (parsed.ec != std::errc{}) break;
    int last = first;
    if (parsed.ptr != end && *parsed.ptr == '-')
      parsed = std::from_chars(parsed.ptr + 1, end, last);
    if (parsed.ec != std::errc{} || first < 0 || last >= kMaxCpus) break;
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    next = parsed.ptr;
    if (next != end && *next == ',') ++next;
  }
  return cpus;
}

Allowance read_allowance(const fs::path& root) {
  Allowance allowance;
  for (const fs::path& group : group_folders(root, "cpuset")) {
    // version 2, version 1
    for (const char* file : {"cpuset.cpus.effective", "cpuset.effective_cpus"}) {
      if (allowance.cpus.empty()) allowance.cpus = parse_cpu_list(read_text(group / file));
    }
  }
  for (const fs::path& group : group_folders(root, "cpu")) {
    const auto quota = quota_of(group);
    if (!quota) continue;
    allowance.cpu_limit = allowance.cpu_limit > 0 ? std::min(allowance.cpu_limit, *quota) : *quota;
  }
  return allowance;
}

}  // namespace smddp
