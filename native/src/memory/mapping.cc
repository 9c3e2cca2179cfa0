#include "memory/mapping.h"

#include <sys/mman.h>

#include <string>
#include <utility>

namespace smddp {

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<Mapping> Mapping::shared(int fd, std::size_t bytes) {
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED)
    return errno_status("mmap of " + std::to_string(bytes) + " shared bytes");
  ::madvise(address, bytes, MADV_DONTFORK);
  return Mapping{static_cast<std::byte*>(address), bytes};
}

Result<Mapping> Mapping::sparse(int fd, std::size_t bytes, InChildren in_children) {
  if (bytes == 0) return Mapping{};
  // Made accessible afterwards, because a process that locks its memory (mlockall) would fill the
  // holes of a mapping that is accessible from the start.
  void* address = ::mmap(nullptr, bytes, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (address == MAP_FAILED)
    return errno_status("mmap of " + std::to_string(bytes) + " bytes of address space");
  Mapping mapping{static_cast<std::byte*>(address), bytes};
  if (::mprotect(address, bytes, PROT_READ | PROT_WRITE) != 0) return errno_status("mprotect");
  ::madvise(address, bytes, MADV_DONTDUMP);
  if (in_children == InChildren::kNothing) ::madvise(address, bytes, MADV_DONTFORK);
  return mapping;
}

Result<Mapping> Mapping::anonymous(std::size_t bytes) {
  void* address =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) return errno_status("mmap of " + std::to_string(bytes) + " bytes");
  return Mapping{static_cast<std::byte*>(address), bytes};
}

Result<UniqueFd> create_memory_file(std::size_t bytes) {
  UniqueFd file{::memfd_create("smddp", MFD_CLOEXEC)};
  if (!file.valid()) return errno_status("memfd_create");
  if (::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
    return errno_status("ftruncate of shared memory to " + std::to_string(bytes) + " bytes");
  }
  return file;
}

}  // namespace smddp
