// Working memory of one thread in a product.
#pragma once

namespace minimax::cpu {

/// kMatmulScratchBytes, 64-byte aligned: the calling thread's, for as long as it lives.
void* scratch();

}  // namespace minimax::cpu
