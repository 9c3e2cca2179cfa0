#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>

#include "base/host_id.h"
#include "base/unique_fd.h"

namespace smddp {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kWarn};
std::atomic<int> g_fd{STDERR_FILENO};

std::string expand(const std::string& pattern) {
  std::string path;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const bool escape = pattern[i] == '%' && i + 1 < pattern.size();
    if (escape && pattern[i + 1] == 'h') {
      path += host_name();
      ++i;
    } else if (escape && pattern[i + 1] == 'p') {
      path += std::to_string(::getpid());
      ++i;
    } else {
      path += pattern[i];
    }
  }
  return path;
}

const char* label(LogLevel level) {
  switch (level) {
    case LogLevel::kWarn:
      return "WARN ";
    case LogLevel::kInfo:
      return "INFO ";
    case LogLevel::kTrace:
      return "TRACE ";
    default:
      return "";
  }
}

}  // namespace

void configure_log(LogLevel level, const std::string& file_pattern) {
  g_level = level;
  if (file_pattern.empty()) return;
  const std::string path = expand(file_pattern);
  UniqueFd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)};
  if (!file.valid()) {
    log_line(LogLevel::kWarn, "cannot open SMDDP_DEBUG_FILE " + path + "; logging to stderr");
    return;
  }
  // Kept open for the life of the process: lines may come from any thread until exit.
  if (g_fd == STDERR_FILENO) {
    g_fd = file.release();
  } else {
    ::dup3(file.get(), g_fd, O_CLOEXEC);
  }
}

bool log_enabled(LogLevel level) noexcept {
  return level <= g_level.load(std::memory_order_relaxed);
}

void log_line(LogLevel level, const std::string& text) {
  if (!log_enabled(level)) return;
  const std::string line = std::string{"smddp: "} + label(level) + text + "\n";
  [[maybe_unused]] const ssize_t written = ::write(g_fd, line.data(), line.size());
}

}  // namespace smddp
