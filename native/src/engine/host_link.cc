#include "engine/host_link.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "base/auth.h"
#include "base/fd_passing.h"
#include "base/socket.h"
#include "engine/runtime_impl.h"
#include "memory/registered_heap.h"

namespace smddp {
namespace {

constexpr std::size_t kMaxFrame = 1 << 16;
// A stranger on the abstract socket delays the others at most this long.
constexpr std::chrono::seconds kHandshakePatience{5};
// Members wait this much longer than the leader, which knows who is missing.
constexpr std::chrono::seconds kVerdictGrace{1};

// For each member: its bell, its registered heap, its pidfd.
constexpr std::size_t kDescriptors = 3;

/// One rank of this host as its leader sees it.
struct Member {
  UniqueFd socket;
  std::string process_name;
  ProcessDescriptors process;

  bool has_joined() const { return process.bell.valid(); }
};

UniqueFd copy_of(int fd) { return UniqueFd{::fcntl(fd, F_DUPFD_CLOEXEC, 0)}; }

std::string name_of(const HostLinkRequest& request, std::size_t local) {
  return name_of(request.members[local], request.labels);
}

Status missing_members(const HostLinkRequest& request, const std::vector<Member>& members) {
  std::string text = "ranks of this host did not join in time: ";
  std::vector<Rank> missing;
  for (std::size_t local = 1; local < members.size(); ++local) {
    if (members[local].has_joined()) continue;
    text += (missing.empty() ? "" : ", ") + name_of(request, local);
    missing.push_back(request.members[local].rank);
  }
  return Status{StatusCode::kTimeout, text, missing};
}

// ---- the leader's verdict, in one frame: "0 <process names>", or "<status code> <why>" ----

std::string refusal(const Status& why) {
  return std::to_string(static_cast<int>(why.code())) + " " + why.message();
}

Status to_status(const std::string& verdict) {
  int code = 0;
  std::istringstream words{verdict};
  words >> code >> std::ws;
  if (code == 0) return Status{};
  std::string why;
  std::getline(words, why);
  return Status{static_cast<StatusCode>(code), why};
}

// ---- what all of them gather, in the order of the local ranks ----

void add_self(HostLink& link, const RegisteredHeap& heap) {
  link.peers.push_back(nullptr);
  link.heaps.push_back(heap.bytes());
}

void add_peer(HostLink& link, RuntimeImpl& runtime, const std::string& process_name,
              ProcessDescriptors descriptors) {
  link.peers.push_back(runtime.meet(process_name, std::move(descriptors)));
  link.heaps.push_back(link.peers.back()->heap());
}

// ---- leader ----

/// Takes in the member that says it is `local`.
Status admit(UniqueFd& socket, const std::string& process_name, Member& member, Deadline deadline) {
  Result<std::vector<UniqueFd>> passed = recv_fds(socket.get(), kDescriptors - 1, deadline);
  if (!passed.ok()) return passed.status();
  Result<UniqueFd> pidfd = open_peer_pidfd(socket.get());
  if (!pidfd.ok()) return pidfd.status();
  member = Member{std::move(socket), process_name,
                  ProcessDescriptors{.bell = std::move(passed.value()[0]),
                                     .heap = std::move(passed.value()[1]),
                                     .pidfd = std::move(pidfd).value()}};
  return Status{};
}

/// Who does not say which member it is may be a stranger, and changes nothing.
Status welcome(UniqueFd socket, const HostLinkRequest& request, std::vector<Member>& members,
               Deadline deadline) {
  const Deadline soon = std::min(deadline, Deadline::after(kHandshakePatience));
  if (!authenticate_server(socket.get(), request.secret, request.context, soon).ok())
    return Status{};
  Result<std::string> hello = recv_frame(socket.get(), kMaxFrame, soon);
  if (!hello.ok()) return Status{};
  std::size_t local = 0;
  std::string process_name;
  std::istringstream{hello.value()} >> local >> process_name;
  if (local == 0 || local >= members.size() || members[local].has_joined()) {
    return Status{StatusCode::kConfig,
                  "two ranks of this host claim the same place: \"" + hello.value() + "\""};
  }
  Status admitted = admit(socket, process_name, members[local], soon);
  if (admitted.ok()) return admitted;
  return Status{admitted.code(), name_of(request, local) +
                                     " did not finish joining this host: " + admitted.message()};
}

Status gather_members(const HostLinkRequest& request, std::vector<Member>& members,
                      Deadline deadline) {
  const auto is_missing = [](const Member& member) { return !member.has_joined(); };
  Status failure;
  while (std::any_of(members.begin() + 1, members.end(), is_missing)) {
    Result<UniqueFd> socket = accept_connection(request.listening_fd, deadline);
    if (!socket.ok()) {
      if (!failure.ok()) return failure;
      return deadline.passed() ? missing_members(request, members) : socket.status();
    }
    Status welcomed = welcome(std::move(socket).value(), request, members, deadline);
    if (welcomed.ok() || !failure.ok()) continue;
    // Those who are on their way get a moment to come in, so that they can be told.
    failure = std::move(welcomed);
    deadline = std::min(deadline, Deadline::after(kVerdictGrace));
  }
  return failure;
}

/// Every member that can still hear it learns why there will be no group.
Status refuse_all(const std::vector<Member>& members, Status why) {
  const Deadline soon = Deadline::after(kVerdictGrace);
  for (const Member& member : members) {
    if (member.socket.valid()) (void)send_frame(member.socket.get(), refusal(why), soon);
  }
  return why;
}

Status hand_out(int memory, const HostLinkRequest& request, const std::vector<Member>& members,
                Deadline deadline) {
  std::string verdict = "0 ";
  std::vector<int> fds{memory};
  for (const Member& member : members) {
    verdict += member.process_name + " ";
    fds.push_back(member.process.bell.get());
    fds.push_back(member.process.heap.get());
    fds.push_back(member.process.pidfd.get());
  }
  // A member that is gone by now is found dead by those who are here; they have its pidfd.
  for (std::size_t local = 1; local < members.size(); ++local) {
    const int socket = members[local].socket.get();
    Status sent = send_frame(socket, verdict, deadline);
    if (sent.ok()) sent = send_fds(socket, fds, deadline);
    if (!sent.ok() && sent.code() != StatusCode::kPeerLost) {
      return Status{sent.code(),
                    name_of(request, local) + " did not take the shared memory: " + sent.message()};
    }
  }
  return Status{};
}

Result<HostLink> lead(RuntimeImpl& runtime, const RegisteredHeap& heap,
                      const HostLinkRequest& request, Deadline deadline) {
  std::vector<Member> members(request.members.size());
  Result<UniqueFd> own_pidfd = open_own_pidfd();
  if (!own_pidfd.ok()) return own_pidfd.status();
  members[0] = Member{{},
                      runtime.process_name(),
                      ProcessDescriptors{.bell = copy_of(runtime.progress().bell()),
                                         .heap = copy_of(heap.file()),
                                         .pidfd = std::move(own_pidfd).value()}};
  if (Status gathered = gather_members(request, members, deadline); !gathered.ok())
    return refuse_all(members, std::move(gathered));

  Result<UniqueFd> memory = create_memory_file(request.segment_bytes);
  if (!memory.ok()) return refuse_all(members, memory.status());
  Result<Mapping> segment = Mapping::shared(memory.value().get(), request.segment_bytes);
  if (!segment.ok()) return refuse_all(members, segment.status());
  if (Status given = hand_out(memory.value().get(), request, members, deadline); !given.ok())
    return refuse_all(members, std::move(given));

  HostLink link{std::move(segment).value(), {}, {}};
  add_self(link, heap);
  for (std::size_t local = 1; local < members.size(); ++local) {
    Member& member = members[local];
    add_peer(link, runtime, member.process_name, std::move(member.process));
  }
  return link;
}

// ---- the others ----

Result<UniqueFd> reach_leader(const HostLinkRequest& request, Deadline deadline) {
  Result<UniqueFd> connected = connect_abstract(request.members[0].abstract_name, deadline);
  if (connected.ok()) return connected;
  return Status{connected.status().code(),
                "cannot reach " + name_of(request, 0) + ", which seems to be on this host (" +
                    connected.status().message() +
                    "); if it is not, give each host its own SMDDP_HOST_ID"};
}

Status introduce(int leader, RuntimeImpl& runtime, const RegisteredHeap& heap,
                 const HostLinkRequest& request, Deadline deadline) {
  SMDDP_RETURN_IF_ERROR(authenticate_client(leader, request.secret, request.context, deadline));
  SMDDP_RETURN_IF_ERROR(
      send_frame(leader, std::to_string(request.self) + " " + runtime.process_name(), deadline));
  const std::array<int, kDescriptors - 1> own{runtime.progress().bell(), heap.file()};
  return send_fds(leader, own, deadline);
}

Result<HostLink> adopt(const std::string& verdict, std::vector<UniqueFd>& fds, RuntimeImpl& runtime,
                       const RegisteredHeap& heap, const HostLinkRequest& request) {
  Result<Mapping> segment = Mapping::shared(fds[0].get(), request.segment_bytes);
  if (!segment.ok()) return segment.status();
  HostLink link{std::move(segment).value(), {}, {}};
  std::istringstream words{verdict};
  std::string name;
  words >> name;  // the code
  for (std::size_t local = 0; local < request.members.size(); ++local) {
    words >> name;
    if (local == static_cast<std::size_t>(request.self)) {
      add_self(link, heap);
      continue;
    }
    UniqueFd* const first = &fds[1 + kDescriptors * local];
    ProcessDescriptors descriptors{
        .bell = std::move(first[0]), .heap = std::move(first[1]), .pidfd = std::move(first[2])};
    add_peer(link, runtime, name, std::move(descriptors));
  }
  return link;
}

Result<HostLink> follow(RuntimeImpl& runtime, const RegisteredHeap& heap,
                        const HostLinkRequest& request, Deadline deadline) {
  const auto lost = [&](const Status& why) {
    return Status{why.code(),
                  name_of(request, 0) + " did not hand over the shared memory: " + why.message()};
  };
  Result<UniqueFd> leader = reach_leader(request, deadline);
  if (!leader.ok()) return leader.status();
  const int socket = leader.value().get();
  if (Status met = introduce(socket, runtime, heap, request, deadline); !met.ok()) return lost(met);
  const Deadline later = deadline.extended(kVerdictGrace);
  Result<std::string> verdict = recv_frame(socket, kMaxFrame, later);
  if (!verdict.ok()) return lost(verdict.status());
  SMDDP_RETURN_IF_ERROR(to_status(verdict.value()));
  Result<std::vector<UniqueFd>> fds =
      recv_fds(socket, 1 + kDescriptors * request.members.size(), later);
  if (!fds.ok()) return lost(fds.status());
  return adopt(verdict.value(), fds.value(), runtime, heap, request);
}

}  // namespace

Result<HostLink> link_host(RuntimeImpl& runtime, const HostLinkRequest& request,
                           Deadline deadline) {
  const Result<RegisteredHeap*> made = RegisteredHeap::of_process();
  if (!made.ok()) return made.status();
  const RegisteredHeap& heap = *made.value();
  return request.self == 0 ? lead(runtime, heap, request, deadline)
                           : follow(runtime, heap, request, deadline);
}

}  // namespace smddp
