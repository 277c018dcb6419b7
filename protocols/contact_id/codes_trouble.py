"""Codes 300-399, troubles: `code|English|Chinese[|restore in English|in Chinese]`."""

TABLE = """
300|System trouble|系统故障
301|Mains power lost|市电断电
302|System battery low|主机电池电压低
303|Working memory check failed|内存校验错误
304|Program memory check failed|程序存储校验错误
305|Panel restarted|主机重新启动
306|Panel configuration changed|主机配置已更改
307|Self-test failed|自检失败
308|Panel shut down|主机已关机
309|Battery load test failed|电池负载测试失败
310|Earth fault|接地故障
311|Battery missing or dead|电池缺失或失效
312|Power supply overloaded|电源过流
313|Reset by an engineer|工程人员复位
314|Main power supply failed|主电源单元故障
315|System trouble (maker's own)|系统故障（厂商自定义）
316|System tampered with|系统被破坏
317|Panel tamper while disarmed|撤防中主机防拆
320|Sounder or relay trouble|警号或继电器故障
321|Sounder 1 trouble|警号 1 故障
322|Sounder 2 trouble|警号 2 故障
323|Alarm relay trouble|报警继电器故障
324|Trouble relay trouble|故障继电器异常
325|Line-reversing relay trouble|线路反转继电器故障
326|Sounder 3 trouble|警号 3 故障
327|Sounder 4 trouble|警号 4 故障
330|Peripheral trouble|外围设备故障
331|Polling loop open|总线回路开路
332|Polling loop shorted|总线回路短路
333|Expansion module failed|扩展模块故障
334|Repeater failed|中继器故障
335|Printer out of paper|打印机缺纸
336|Printer failed|打印机故障
337|Module lost its DC supply|模块直流断电
338|Module battery low|模块电池电压低
339|Module restarted|模块重新启动
341|Module tamper while disarmed|撤防中模块防拆
342|Module lost mains power|模块市电断电
343|Module self-test failed|模块自检失败
344|Radio jamming detected|检测到无线干扰
345|AES encryption switched off|AES 加密已关闭|AES encryption switched on|AES 加密已开启
350|Communication trouble|通信故障
351|Phone line 1 fault|电话线路 1 故障
352|Phone line 2 fault|电话线路 2 故障
353|Long-range radio fault|远程无线发射器故障
354|An event could not be reported|事件上报失败
355|Radio supervision lost|无线监控丢失
356|Polling by the centre lost|中心轮询丢失
357|Radio aerial trouble|无线天线异常
358|Test of a communication path failed|通信路径测试失败
370|Protection loop trouble|防护回路故障
371|Protection loop open|防护回路开路
372|Protection loop shorted|防护回路短路
373|Fire zone trouble|火警防区故障
374|Alarm from an exit error|外出错误引发报警
375|Panic zone trouble|紧急防区故障
376|Hold-up zone trouble|劫持防区故障
377|Zone shut down after too many alarms|防区报警过多被停用
378|Cross-zone partner did not follow|交叉防区未配对触发
380|Detector trouble|探测器故障
381|Wireless detector not heard|无线探测器失联
382|Bus detector not heard|总线探测器失联
383|Detector tamper while disarmed|撤防中探测器防拆
384|Wireless detector battery low|无线探测器电池电压低
385|Smoke detector too sensitive|烟感灵敏度过高
386|Smoke detector not sensitive enough|烟感灵敏度过低
387|Intrusion detector too sensitive|入侵探测器灵敏度过高
388|Intrusion detector not sensitive enough|入侵探测器灵敏度过低
389|Detector self-test failed|探测器自检失败
391|Detector has seen nothing for too long|探测器长时间未触发
392|Drift compensation at its end|漂移补偿超限
393|Maintenance needed|需要维护
394|CO detector to be replaced|一氧化碳探测器需更换
"""
