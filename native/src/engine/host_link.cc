#include "engine/host_link.h"

#include <fcntl.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/auth.h"
#include "base/fd_passing.h"
#include "base/rank_label.h"
#include "base/socket.h"
#include "engine/runtime_impl.h"

namespace smddp {
namespace {

constexpr std::size_t kMaxFrame = 1 << 16;
// A stranger on the abstract socket delays the others at most this long.
constexpr std::chrono::seconds kHandshakePatience{5};

/// One rank of this host as its leader sees it.
struct Member {
  UniqueFd socket;
  std::string process_name;
  UniqueFd bell;
  UniqueFd pidfd;
};

UniqueFd copy_of(int fd) { return UniqueFd{::fcntl(fd, F_DUPFD_CLOEXEC, 0)}; }

Status missing_members(const HostLinkRequest& request, const std::vector<Member>& members) {
  std::ostringstream text;
  text << "ranks of this host did not join in time:";
  for (std::size_t local = 1; local < members.size(); ++local) {
    if (!members[local].bell.valid())
      text << " rank " << label_of(request.labels, request.members[local].rank);
  }
  return Status{StatusCode::kTimeout, text.str()};
}

// ---- leader ----

/// Nothing when the connection is a stranger's.
Status welcome(UniqueFd socket, const HostLinkRequest& request, std::vector<Member>& members,
               Deadline deadline) {
  const Deadline soon = std::min(deadline, Deadline::after(kHandshakePatience));
  if (!authenticate_server(socket.get(), request.secret, request.context, soon).ok())
    return Status{};
  Result<std::string> hello = recv_frame(socket.get(), kMaxFrame, soon);
  if (!hello.ok()) return hello.status();
  std::size_t local = 0;
  std::string process_name;
  std::istringstream{hello.value()} >> local >> process_name;
  if (local == 0 || local >= members.size() || members[local].bell.valid()) {
    return Status{StatusCode::kConfig,
                  "two ranks of this host claim the same place: \"" + hello.value() + "\""};
  }
  Result<std::vector<UniqueFd>> bell = recv_fds(socket.get(), 1, soon);
  if (!bell.ok()) return bell.status();
  Result<UniqueFd> pidfd = open_peer_pidfd(socket.get());
  if (!pidfd.ok()) return pidfd.status();
  members[local] = Member{std::move(socket), std::move(process_name), std::move(bell.value()[0]),
                          std::move(pidfd).value()};
  return Status{};
}

Status gather_members(const HostLinkRequest& request, std::vector<Member>& members,
                      Deadline deadline) {
  const auto is_missing = [](const Member& member) { return !member.bell.valid(); };
  while (std::any_of(members.begin() + 1, members.end(), is_missing)) {
    Result<UniqueFd> socket = accept_connection(request.listening_fd, deadline);
    if (!socket.ok())
      return deadline.passed() ? missing_members(request, members) : socket.status();
    SMDDP_RETURN_IF_ERROR(welcome(std::move(socket).value(), request, members, deadline));
  }
  return Status{};
}

Status hand_out(int memory, const std::vector<Member>& members, Deadline deadline) {
  std::string names;
  std::vector<int> fds{memory};
  for (const Member& member : members) {
    names += member.process_name + " ";
    fds.push_back(member.bell.get());
    fds.push_back(member.pidfd.get());
  }
  for (std::size_t local = 1; local < members.size(); ++local) {
    SMDDP_RETURN_IF_ERROR(send_frame(members[local].socket.get(), names, deadline));
    SMDDP_RETURN_IF_ERROR(send_fds(members[local].socket.get(), fds, deadline));
  }
  return Status{};
}

Result<HostLink> lead(RuntimeImpl& runtime, const HostLinkRequest& request, Deadline deadline) {
  std::vector<Member> members(request.members.size());
  Result<UniqueFd> own_pidfd = open_own_pidfd();
  if (!own_pidfd.ok()) return own_pidfd.status();
  members[0] = Member{
      {}, runtime.process_name(), copy_of(runtime.progress().bell()), std::move(own_pidfd).value()};
  SMDDP_RETURN_IF_ERROR(gather_members(request, members, deadline));

  Result<UniqueFd> memory = create_memory_file(request.segment_bytes);
  if (!memory.ok()) return memory.status();
  Result<Mapping> segment = Mapping::shared(memory.value().get(), request.segment_bytes);
  if (!segment.ok()) return segment.status();
  SMDDP_RETURN_IF_ERROR(hand_out(memory.value().get(), members, deadline));

  HostLink link{std::move(segment).value(), {}};
  link.peers.push_back(nullptr);
  for (std::size_t local = 1; local < members.size(); ++local) {
    Member& member = members[local];
    link.peers.push_back(
        runtime.meet(member.process_name, std::move(member.bell), std::move(member.pidfd)));
  }
  return link;
}

// ---- the others ----

Result<HostLink> follow(RuntimeImpl& runtime, const HostLinkRequest& request, Deadline deadline) {
  const RankInfo& leader = request.members[0];
  Result<UniqueFd> connected = connect_abstract(leader.abstract_name, deadline);
  if (!connected.ok()) {
    return Status{connected.status().code(),
                  "cannot reach rank " + std::to_string(label_of(request.labels, leader.rank)) +
                      ", which seems to be on this host (" + connected.status().message() +
                      "); if it is not, give each host its own SMDDP_HOST_ID"};
  }
  const int socket = connected.value().get();
  SMDDP_RETURN_IF_ERROR(authenticate_client(socket, request.secret, request.context, deadline));
  SMDDP_RETURN_IF_ERROR(
      send_frame(socket, std::to_string(request.self) + " " + runtime.process_name(), deadline));
  const int own_bell = runtime.progress().bell();
  SMDDP_RETURN_IF_ERROR(send_fds(socket, std::span{&own_bell, 1}, deadline));

  Result<std::string> names = recv_frame(socket, kMaxFrame, deadline);
  if (!names.ok()) return names.status();
  Result<std::vector<UniqueFd>> received =
      recv_fds(socket, 1 + 2 * request.members.size(), deadline);
  if (!received.ok()) return received.status();
  std::vector<UniqueFd>& fds = received.value();
  Result<Mapping> segment = Mapping::shared(fds[0].get(), request.segment_bytes);
  if (!segment.ok()) return segment.status();

  HostLink link{std::move(segment).value(), {}};
  std::istringstream words{names.value()};
  for (std::size_t local = 0; local < request.members.size(); ++local) {
    std::string name;
    words >> name;
    const bool own = local == static_cast<std::size_t>(request.self);
    link.peers.push_back(
        own ? nullptr
            : runtime.meet(name, std::move(fds[1 + 2 * local]), std::move(fds[2 + 2 * local])));
  }
  return link;
}

}  // namespace

Result<HostLink> link_host(RuntimeImpl& runtime, const HostLinkRequest& request,
                           Deadline deadline) {
  return request.self == 0 ? lead(runtime, request, deadline) : follow(runtime, request, deadline);
}

}  // namespace smddp
