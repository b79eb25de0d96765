// The table of AVX2 with what is made of 8-bit products in its four-product instruction: processors without AVX-512.
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::avx2 {
extern const Kernels kTable;
}

namespace minimax::cpu::MM_ISA {
namespace {

Kernels with_byte_products(Kernels table) {
  table.isa = "avxvnni";
  table.matmul_q8 = matmul_q8;
  table.matmul_experts_int8 = matmul_experts_int8;
  table.matmul_q6 = matmul_q6;
  table.matmul_q5 = matmul_q5;
  table.matmul_q4 = matmul_q4;
  table.matmul_mxfp4 = matmul_mxfp4;
  table.attend_codes = attend_codes;
  table.code_query = code_query;
  table.probe_int8_dot = probe_int8_dot;
  return table;
}

}  // namespace

const Kernels& table() {
  static const Kernels made = with_byte_products(avx2::kTable);
  return made;
}

}  // namespace minimax::cpu::MM_ISA
