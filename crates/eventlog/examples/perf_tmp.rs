#![allow(warnings)]
use std::sync::Arc; use std::time::*;
use chat4all_eventlog::*; use chat4all_eventlog::embedded::*; use chat4all_process::Clock; use chat4all_contracts::EpochMs; use bytes::Bytes;
#[tokio::main(flavor="multi_thread", worker_threads=2)]
async fn main(){
  let dir=std::path::PathBuf::from(std::env::args().nth(1).unwrap());
  let _ = std::fs::remove_dir_all(&dir); std::fs::create_dir_all(&dir).unwrap();
  let log=EmbeddedLog::open(&dir.join("l.db"),EmbeddedOptions{free_space_floor_bytes:0,..Default::default()},Clock::system()).unwrap();
  log.ensure_topics(vec![TopicSpec{name:"t".into(),partitions:4,retention:Duration::from_secs(1000000000)}]).await.unwrap();
  for (c,each) in [(1usize,3000usize),(64,2000),(1000,200)] {
    let p=log.producer(ProducerOptions{patience:Patience::GiveUpAfter(Duration::from_secs(5)),admission:Admission::NewWork});
    let t=Instant::now(); let mut js=tokio::task::JoinSet::new();
    for a in 0..c { let p=p.clone(); js.spawn(async move { let mut worst=Duration::ZERO; for n in 0..each { let t=Instant::now(); append(&*p,NewRecord{to:TopicPartition::new("t",(a%4) as u32),key:Bytes::from_static(b"kkkkkkkkkkkkkkkk"),value:Bytes::from(vec![b'x';300]),headers:vec![("traceparent".into(),Bytes::from_static(b"00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01"))],timestamp:EpochMs::saturating(1)}).await.unwrap(); worst=worst.max(t.elapsed());} worst}); }
    let mut w=Duration::ZERO; while let Some(r)=js.join_next().await { w=w.max(r.unwrap()); }
    let e=t.elapsed(); println!("{c} appenders: {:.0}/s worst {:?}", (c*each) as f64/e.as_secs_f64(), w);
  }
  let c=log.subscribe(Subscription{group:"g".into(),topics:vec!["t".into()],max_batch:500,revoke_deadline:Duration::from_secs(1)}).await.unwrap();
  let total=3000+128000+200000; let mut n=0; let t=Instant::now();
  while n<total { if let ConsumerEvent::Records{records,..}=c.next().await.unwrap(){ n+=records.len(); } }
  println!("consume {:.0}/s", n as f64/t.elapsed().as_secs_f64());
}
