#pragma once

#include <string>

namespace smddp {

enum class LogLevel : unsigned char { kNone, kVersion, kWarn, kInfo, kTrace };

/// Where and how much this process logs; set once when the runtime starts.
/// `file_pattern` empty = stderr; %h is replaced by the host name and %p by the process id.
void configure_log(LogLevel level, const std::string& file_pattern);
bool log_enabled(LogLevel level) noexcept;
/// Writes one line in one write(2), so that lines of several ranks do not mix. Cold paths only.
void log_line(LogLevel level, const std::string& text);

}  // namespace smddp
