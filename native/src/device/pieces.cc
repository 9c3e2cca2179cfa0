#include "device/pieces.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

namespace smddp {
namespace {

/// Takes a GPU about 80 us to copy (PCIe 5), and host memory ten times as long to add: the first
/// copy hardly counts, and a bucket of DistributedDataParallel has some. Not measured on a GPU yet.
constexpr std::size_t kPieceBytes = std::size_t{4} << 20;

/// What a piece puts on a stream stays far below what the driver takes before it blocks the caller.
constexpr std::size_t kMostPieces = 64;

/// Elements of a piece, by what all ranks know.
std::size_t elements_of_piece(const Request& request) {
  const std::size_t width = size_of(request.dtype);
  return std::max(kPieceBytes / width, (request.count + kMostPieces - 1) / kMostPieces);
}

bool can_be_cut(const Request& request) {
  return request.message == MessageSide::kNone && (request.collective == Collective::kAllReduce ||
                                                   request.collective == Collective::kReduce ||
                                                   request.collective == Collective::kBroadcast);
}

/// Without what is called at the end.
Request piece_of(const Request& whole, std::size_t first, std::size_t count) {
  const std::size_t offset = first * size_of(whole.dtype);
  Request piece{.collective = whole.collective,
                .dtype = whole.dtype,
                .op = whole.op,
                .root = whole.root,
                .count = count,
                .whole = whole.count,
                .timeout = whole.timeout,
                .keep_alive = whole.keep_alive};
  if (whole.in != nullptr) piece.in = static_cast<const std::byte*>(whole.in) + offset;
  if (whole.out != nullptr) piece.out = static_cast<std::byte*>(whole.out) + offset;
  return piece;
}

/// For errors.
std::string name_of_piece(const Request& whole, std::size_t number, std::size_t pieces) {
  return whole.name + (whole.name.empty() ? "" : ", ") + "piece " + std::to_string(number + 1) +
         " of " + std::to_string(pieces);
}

}  // namespace

std::vector<Request> pieces_of(Request request) {
  const std::size_t most = elements_of_piece(request);
  std::vector<Request> pieces;
  if (!can_be_cut(request) || request.count <= most) {
    pieces.push_back(std::move(request));
    return pieces;
  }
  const std::size_t count = (request.count + most - 1) / most;
  for (std::size_t number = 0; number < count; ++number) {
    const std::size_t first = number * most;
    pieces.push_back(piece_of(request, first, std::min(most, request.count - first)));
    pieces.back().name = name_of_piece(request, number, count);
  }
  pieces.back().on_complete = std::move(request.on_complete);
  return pieces;
}

}  // namespace smddp
