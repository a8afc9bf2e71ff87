/* What Rust's standard library names of a C unwinder. With panic = "abort" nothing unwinds: backtraces are empty. */
struct context;
typedef int (*callback)(struct context *, void *);
int _Unwind_Backtrace(callback call, void *data) { return 5; /* _URC_END_OF_STACK */ }
unsigned long _Unwind_GetIP(struct context *context) { return 0; }
unsigned long _Unwind_GetIPInfo(struct context *context, int *before) { *before = 0; return 0; }
unsigned long _Unwind_GetCFA(struct context *context) { return 0; }
void *_Unwind_FindEnclosingFunction(void *address) { return 0; }
unsigned long _Unwind_GetLanguageSpecificData(struct context *context) { return 0; }
unsigned long _Unwind_GetRegionStart(struct context *context) { return 0; }
unsigned long _Unwind_GetTextRelBase(struct context *context) { return 0; }
unsigned long _Unwind_GetDataRelBase(struct context *context) { return 0; }
void _Unwind_SetGR(struct context *context, int number, unsigned long value) {}
void _Unwind_SetIP(struct context *context, unsigned long value) {}
int _Unwind_RaiseException(void *exception) { __builtin_trap(); }
void _Unwind_Resume(void *exception) { __builtin_trap(); }
void _Unwind_DeleteException(void *exception) {}
/* ARM's own form of the same. */
int _Unwind_VRS_Get(struct context *context, int kind, unsigned number, int form, unsigned *value) { *value = 0; return 0; }
int _Unwind_VRS_Set(struct context *context, int kind, unsigned number, int form, unsigned *value) { return 0; }
int __gnu_unwind_frame(void *exception, struct context *context) { return 9; /* _URC_FAILURE */ }
void __aeabi_unwind_cpp_pr0(void) {}
void __aeabi_unwind_cpp_pr1(void) {}
