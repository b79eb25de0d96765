// What the sanitizers are told in every program of a sanitizer build, however it is started.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MINIMAX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MINIMAX_SANITIZED 1
#endif
#endif

#ifdef MINIMAX_SANITIZED
extern "C" {
// An allocation beyond all bounds fails as it does outside a sanitizer, so that our error for it can be tested.
const char* __asan_default_options();
const char* __asan_default_options() {
  return "allocator_may_return_null=1:detect_stack_use_after_return=1:strict_string_checks=1";
}
const char* __tsan_default_options();
const char* __tsan_default_options() {
  return "allocator_may_return_null=1:second_deadlock_stack=1";
}
const char* __ubsan_default_options();
const char* __ubsan_default_options() {
  return "print_stacktrace=1";
}
}
#endif
