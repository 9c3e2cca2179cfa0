#pragma once

#include <cstdint>
#include <utility>

#include "backend.h"

namespace smddp::torch_adapter {

// Between two ranks: send, recv, recv from any rank.

inline WorkPtr SmddpBackend::send(Tensors& tensors, int peer, int tag) {
  const at::Tensor& tensor = only(tensors, "send");
  check_tensor(tensor, "send");
  Call call{c10d::OpType::SEND, "smddp:send", tensors, {}};
  const at::Tensor memory = readable(tensor);
  Request request = message(MessageSide::kSend, memory, tag);
  request.peer = static_cast<Rank>(peer);
  request.in = memory.data_ptr();
  call.buffers = {memory};
  return start(std::move(request), std::move(call));
}

inline WorkPtr SmddpBackend::recv(Tensors& tensors, int peer, int tag) {
  return receive(tensors, static_cast<Rank>(peer), tag, c10d::OpType::RECV);
}

inline WorkPtr SmddpBackend::recvAnysource(Tensors& tensors, int tag) {
  return receive(tensors, kAnyRank, tag, c10d::OpType::RECVANYSOURCE);
}

inline WorkPtr SmddpBackend::receive(Tensors& tensors, Rank peer, int tag, c10d::OpType type) {
  const at::Tensor& tensor = only(tensors, "recv");
  check_tensor(tensor, "recv");
  const char* const title = type == c10d::OpType::RECV ? "smddp:recv" : "smddp:recvAnySource";
  Call call{type, title, tensors, {tensors}};
  const at::Tensor memory = writable(tensor, "recv", call.copies);
  Request request = message(MessageSide::kRecv, memory, tag);
  request.peer = peer;
  request.out = memory.data_ptr();
  call.buffers = {memory};
  return start(std::move(request), std::move(call));
}

inline Request SmddpBackend::message(MessageSide side, const at::Tensor& memory, int tag) const {
  Request request;
  request.message = side;
  request.dtype = to_dtype(memory, side == MessageSide::kSend ? "send" : "recv");
  request.tag = static_cast<std::uint32_t>(tag);
  request.count = count_of(memory);
  request.timeout = timeout_;
  return request;
}

}  // namespace smddp::torch_adapter
