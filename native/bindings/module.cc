#include "bind.h"

PYBIND11_MODULE(_core, module) {
  module.doc() =
      "The native engine of smddp. Use the smddp package; this module is conversion only.";
  smddp::bind_types(module);
  smddp::bind_cuda(module);
  smddp::bind_probe(module);
  smddp::bind_registered(module);
  smddp::bind_store(module);
  smddp::bind_topology(module);
  smddp::bind_simulate(module);
  smddp::bind_communicator(module);
}
