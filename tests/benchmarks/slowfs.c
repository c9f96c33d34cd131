// Counts, and delays by SLOW_US microseconds, every call of the C library that names a path below SLOW_DIR: a shared
// disk of a cluster, on this machine.  Build and use:
//   gcc -shared -fPIC -O1 -o slowfs.so slowfs.c -ldl
//   SLOW_DIR=/dev/shm/store SLOW_US=1000 SLOW_OUT=counts LD_PRELOAD=$PWD/slowfs.so HULDRA_PATH=/dev/shm/store python sweep.py
// Each process appends "pid calls" to SLOW_OUT at its end (one that is killed does not); `slow_calls()` is the count so far.
// A name relative to an open folder is neither counted nor delayed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <fcntl.h>
#include <unistd.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <stdlib.h>
#include <stdio.h>
#include <dirent.h>
static long n; static const char*pre; static long us=-1;
static void __attribute__((destructor)) fin(void){const char*f=getenv("SLOW_OUT"); if(f){FILE*o=fopen(f,"a"); if(o){fprintf(o,"%d %ld\n",getpid(),n); fclose(o);}}}
long slow_calls(void){return n;}
static void d(const char*p){ if(us<0){pre=getenv("SLOW_DIR"); us=getenv("SLOW_US")?atol(getenv("SLOW_US")):0;} if(pre&&p&&strncmp(p,pre,strlen(pre))==0){__sync_fetch_and_add(&n,1); if(us){struct timespec t={us/1000000,(us%1000000)*1000}; nanosleep(&t,0);}}}
#define W(ret,name,args,call,path) ret name args{static ret(*f) args; if(!f)f=dlsym(RTLD_NEXT,#name); d(path); return f call;}
W(int,link,(const char*a,const char*b),(a,b),b)
W(int,linkat,(int x,const char*a,int y,const char*b,int g),(x,a,y,b,g),b)
W(int,rename,(const char*a,const char*b),(a,b),b)
W(int,renameat,(int x,const char*a,int y,const char*b),(x,a,y,b),b)
W(int,unlink,(const char*a),(a),a)
W(int,unlinkat,(int x,const char*a,int g),(x,a,g),a)
W(int,mkdir,(const char*a,mode_t m),(a,m),a)
W(int,mkdirat,(int x,const char*a,mode_t m),(x,a,m),a)
W(int,stat,(const char*a,struct stat*s),(a,s),a)
W(int,lstat,(const char*a,struct stat*s),(a,s),a)
W(int,fstatat,(int x,const char*a,struct stat*s,int g),(x,a,s,g),a)
W(int,stat64,(const char*a,struct stat64*s),(a,s),a)
W(int,lstat64,(const char*a,struct stat64*s),(a,s),a)
W(int,fstatat64,(int x,const char*a,struct stat64*s,int g),(x,a,s,g),a)
W(int,access,(const char*a,int m),(a,m),a)
W(int,faccessat,(int x,const char*a,int m,int g),(x,a,m,g),a)
W(DIR*,opendir,(const char*a),(a),a)
W(int,utimensat,(int x,const char*a,const struct timespec*t,int g),(x,a,t,g),a)
int open(const char*a,int fl,...){static int(*f)(const char*,int,...); if(!f)f=dlsym(RTLD_NEXT,"open"); va_list v; va_start(v,fl); int m=va_arg(v,int); va_end(v); d(a); return f(a,fl,m);}
int open64(const char*a,int fl,...){static int(*f)(const char*,int,...); if(!f)f=dlsym(RTLD_NEXT,"open64"); va_list v; va_start(v,fl); int m=va_arg(v,int); va_end(v); d(a); return f(a,fl,m);}
int openat(int x,const char*a,int fl,...){static int(*f)(int,const char*,int,...); if(!f)f=dlsym(RTLD_NEXT,"openat"); va_list v; va_start(v,fl); int m=va_arg(v,int); va_end(v); d(a); return f(x,a,fl,m);}
int openat64(int x,const char*a,int fl,...){static int(*f)(int,const char*,int,...); if(!f)f=dlsym(RTLD_NEXT,"openat64"); va_list v; va_start(v,fl); int m=va_arg(v,int); va_end(v); d(a); return f(x,a,fl,m);}
