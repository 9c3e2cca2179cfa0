#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace smddp {

// Reading the small files in which the kernel describes the machine. What is missing is no error.

/// The file's text without surrounding space; empty if it cannot be read.
std::string read_text(const std::filesystem::path& file);
/// The number that the file begins with.
std::optional<double> read_number(const std::filesystem::path& file);
/// Names in a folder, ascending; none if there is no such folder.
std::vector<std::string> names_in(const std::filesystem::path& folder);

/// "0-3,8,10-11", as the kernel writes sets of processors: ascending numbers. Ends at the first
/// mistake.
std::vector<int> parse_cpu_list(std::string_view text);

/// What the control groups of this process allow it, below `root`.
struct Allowance {
  std::vector<int> cpus{};  ///< empty: any
  double cpu_limit = 0;     ///< processors that the quota is worth; 0: no quota
};
Allowance read_allowance(const std::filesystem::path& root);

}  // namespace smddp
