// The table of AVX2 with the packed products in its four-product 8-bit instruction: processors without AVX-512.
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::avx2 {
extern const Kernels kTable;
}

namespace minimax::cpu::MM_ISA {
namespace {

Kernels with_packed_products(Kernels table) {
  table.isa = "avxvnni";
  table.matmul_q8 = matmul_q8;
  table.matmul_experts_int8 = matmul_experts_int8;
  table.matmul_q6 = matmul_q6;
  table.matmul_q5 = matmul_q5;
  table.matmul_q4 = matmul_q4;
  table.matmul_mxfp4 = matmul_mxfp4;
  table.probe_int8_dot = probe_int8_dot;
  return table;
}

}  // namespace

const Kernels& table() {
  static const Kernels made = with_packed_products(avx2::kTable);
  return made;
}

}  // namespace minimax::cpu::MM_ISA
